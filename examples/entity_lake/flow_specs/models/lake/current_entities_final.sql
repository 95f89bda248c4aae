-- One row for each entity that is there: what its last operation says, and when it was first created.
--
-- The last operation is the one with the latest time; of those at one time, the one with the greatest activity id. Deleted entities
-- are not there, nor those in the bin; one that is restored is there again.
WITH last_operations AS (
  SELECT * FROM affected_events
  QUALIFY row_number() OVER (PARTITION BY org_id, entity_id ORDER BY timestamp DESC, activity_id DESC, affected_events::VARCHAR) = 1
),
creations AS (
  SELECT org_id, entity_id, min(timestamp) AS created_at
  FROM affected_events WHERE operation = 'createEntity' GROUP BY org_id, entity_id
)
SELECT
  org_id, entity_id, schema, operation AS last_operation, activity_id AS last_activity_id,
  timestamp AS updated_at, created_at, detail
FROM last_operations LEFT JOIN creations USING (org_id, entity_id)
WHERE operation IS NULL OR operation NOT IN ('deleteEntity', 'softDeleteEntity')
