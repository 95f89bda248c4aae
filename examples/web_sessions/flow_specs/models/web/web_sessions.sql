-- One row for each session that saw a page: what its events tell, and who the visitor proved to be, whenever that was.
WITH known AS (
  SELECT visitor, arg_max(last_user_id, (last_user_tstamp, domain_sessionid)) AS user_id
  FROM session_facts WHERE domain_userid IS NOT NULL AND last_user_id IS NOT NULL GROUP BY visitor
)
SELECT
  session.* EXCLUDE (session_start, session_end, last_user_id, last_user_tstamp),
  coalesce(known.user_id, domain_userid) AS stitched_user_id,
  country.name AS geo_country_name, country.continent AS geo_continent,
  last_country.name AS last_geo_country_name, last_country.continent AS last_geo_continent
FROM session_facts AS session
LEFT JOIN known USING (visitor)
LEFT JOIN countries AS country ON country.code = upper(geo_country)
LEFT JOIN countries AS last_country ON last_country.code = upper(last_geo_country)
WHERE page_views IS NOT NULL
