"""`airwarden import`: what an Airflow holds today becomes bindings, and a script that puts the values into the store.

From `files` and `airflow_api` come items, which `grouping` judges and puts into bindings; `writing` makes the files.
Values go from the source into files of mode 0600, and nowhere else.
"""
