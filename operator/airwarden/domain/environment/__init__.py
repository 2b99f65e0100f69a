"""What an AirflowEnvironment and the bindings that name it come to: pure, no input or output."""
