-- Which events are what the site is for, and what is each worth? Change this to your own.
SELECT event_id, domain_sessionid, derived_tstamp, dvce_created_tstamp, coalesce(tr_total_base, 0) AS value
FROM events
WHERE event_name = 'purchase'
