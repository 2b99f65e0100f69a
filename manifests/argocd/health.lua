-- Health of Airwarden's kinds for Argo CD, from Ready, Stalled, Suspended, Healthy and observedGeneration.
-- Put into the ConfigMap argocd-cm, see argocd-cm.yaml beside this file.
local health = {status = "Progressing", message = "Waiting for the operator"}
if obj.metadata.deletionTimestamp ~= nil then
  health.message = "Access is being taken away"
end
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waiting for the operator to see the newest change"
  return health
end
local ready, stalled, suspended, sick = nil, nil, nil, nil
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" then ready = condition end
  if condition.type == "Stalled" and condition.status == "True" then stalled = condition end
  if condition.type == "Suspended" and condition.status == "True" then suspended = condition end
  if condition.type == "Healthy" and condition.status == "False" then sick = condition end
end
if ready == nil then
  return health
end
health.message = ready.reason .. ": " .. ready.message
if obj.metadata.deletionTimestamp ~= nil then
  return health
end
-- What goes wrong while suspended is shown rather than the suspension.
if suspended ~= nil and (ready.status == "True" or ready.reason == suspended.reason) then
  health.status = "Suspended"
elseif ready.status == "True" and sick ~= nil then
  health.status = "Degraded"
  health.message = sick.reason .. ": " .. sick.message
elseif ready.status == "True" then
  health.status = "Healthy"
elseif stalled ~= nil then
  health.status = "Degraded"
end
return health
