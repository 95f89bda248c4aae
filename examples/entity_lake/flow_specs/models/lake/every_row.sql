-- Every row once, however often it came.
SELECT DISTINCT * FROM affected_events
