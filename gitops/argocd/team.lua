-- Health of a Team for Argo CD: what kstatus says of it, and Suspended apart.
local status = obj.status or {}
local said = {}
for _, condition in ipairs(status.conditions or {}) do
  said[condition.type] = condition
end

local function holds(type)
  return said[type] ~= nil and said[type].status == "True"
end

local function verdict(health, type, otherwise)
  local condition = said[type]
  if condition == nil then
    return {status = health, message = otherwise}
  end
  return {status = health, message = condition.reason .. ": " .. condition.message}
end

if obj.metadata.deletionTimestamp ~= nil then
  return verdict("Progressing", "Deleting", "it is being deleted")
end
-- What was said of an earlier generation says nothing of this one.
if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "the operator has not looked at this generation yet"}
end
if holds("Reconciling") then
  return verdict("Progressing", "Reconciling")
end
if holds("Stalled") then
  return verdict("Degraded", "Stalled")
end
if holds("Suspended") then
  return verdict("Suspended", "Suspended")
end
if holds("Ready") then
  return verdict("Healthy", "Ready")
end
return verdict("Progressing", "Ready", "the operator has not said whether it is ready")
