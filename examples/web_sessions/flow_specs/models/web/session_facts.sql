-- One row for each session: all that its own events tell. What others tell, who the visitor proved to be, comes in web_sessions.
--
-- A session that begins with a ping began 5 seconds before it. The last page is the one viewed last; without a page view, the first.
WITH firsts AS (
  SELECT * FROM page_events
  QUALIFY row_number() OVER (PARTITION BY domain_sessionid ORDER BY derived_tstamp, dvce_created_tstamp, event_id) = 1
),
lasts AS (
  SELECT * FROM page_events WHERE event_name = 'page_view'
  QUALIFY row_number() OVER (PARTITION BY domain_sessionid ORDER BY derived_tstamp DESC, dvce_created_tstamp DESC, event_id) = 1
),
pages AS (
  SELECT
    first.* EXCLUDE (event_id, page_view_id, domain_userid, session_start, session_end, medium, source, shops),
    if(first.event_name = 'page_ping', 5, 0) AS unseen,
    if(last.page_url IS NULL, first, last) AS last_page,
    if(last.geo_country IS NULL, first, last) AS last_place,
    if(last.br_lang IS NULL, first, last) AS last_browser
  FROM firsts AS first LEFT JOIN lasts AS last USING (domain_sessionid)
),
all_events AS (
  SELECT
    domain_sessionid,
    any_value(domain_userid) AS domain_userid,
    any_value(session_start) AS session_start,
    any_value(session_end) AS session_end,
    arg_max(user_id, (collector_tstamp, event_id)) AS last_user_id,
    max(collector_tstamp) FILTER (user_id IS NOT NULL) AS last_user_tstamp,
    min(derived_tstamp) AS first_tstamp,
    max(derived_tstamp) AS last_tstamp,
    count(*) AS total_events,
    '{' || array_to_string([to_json(e.key) || ' :' || e.value FOR e IN map_entries(histogram(event_name))], ', ') || '}' AS event_counts
  FROM events GROUP BY domain_sessionid
),
engaged AS (
  SELECT
    domain_sessionid,
    count(DISTINCT page_view_id) AS page_views,
    count(DISTINCT page_view_id) FILTER (event_name = 'page_ping') AS pinged_pages,
    count(DISTINCT (page_view_id, floor(epoch(dvce_created_tstamp) / 10))) FILTER (event_name = 'page_ping') AS pinged_spans,
    10 * (pinged_spans - pinged_pages) + 5 * pinged_pages AS engaged_time_in_s
  FROM page_events GROUP BY domain_sessionid
),
converted AS (
  SELECT
    domain_sessionid,
    count(*) AS conversions,
    list(event_id ORDER BY derived_tstamp, dvce_created_tstamp, event_id) AS conversion_events,
    list(value ORDER BY derived_tstamp, dvce_created_tstamp, event_id) AS conversion_values,
    sum(value) AS conversion_total,
    min(derived_tstamp) AS first_conversion
  FROM conversions GROUP BY domain_sessionid
)
SELECT
  coalesce(domain_userid, domain_sessionid) AS visitor, session_start, session_end, last_user_id, last_user_tstamp,
  app_id, platform, domain_sessionid, domain_sessionidx,
  first_tstamp - to_seconds(unseen) AS start_tstamp,
  if(page_views IS NULL, NULL, last_tstamp) AS end_tstamp,
  user_id, domain_userid, network_userid,
  page_views, engaged_time_in_s, event_counts, total_events,
  page_views >= 2 OR engaged_time_in_s >= 20 OR conversions IS NOT NULL AS is_engaged,
  date_diff('second', first_tstamp, last_tstamp) + unseen AS absolute_time_in_s,
  page_title AS first_page_title, page_url AS first_page_url, page_urlscheme AS first_page_urlscheme,
  page_urlhost AS first_page_urlhost, page_urlpath AS first_page_urlpath, page_urlquery AS first_page_urlquery,
  page_urlfragment AS first_page_urlfragment,
  last_page.page_title AS last_page_title, last_page.page_url AS last_page_url, last_page.page_urlscheme AS last_page_urlscheme,
  last_page.page_urlhost AS last_page_urlhost, last_page.page_urlpath AS last_page_urlpath,
  last_page.page_urlquery AS last_page_urlquery, last_page.page_urlfragment AS last_page_urlfragment,
  page_referrer AS referrer, refr_urlscheme, refr_urlhost, refr_urlpath, refr_urlquery, refr_urlfragment,
  refr_medium, refr_source, refr_term,
  mkt_medium, mkt_source, mkt_term, mkt_content, mkt_campaign, mkt_clickid, mkt_network,
  nullif(regexp_extract(page_urlquery, 'utm_source_platform=([^?&#]*)', 1), '') AS mkt_source_platform, default_channel_group,
  geo_country, geo_region, geo_region_name, geo_city, geo_zipcode, geo_latitude, geo_longitude, geo_timezone,
  last_place.geo_country AS last_geo_country, last_place.geo_region_name AS last_geo_region_name, last_place.geo_city AS last_geo_city,
  user_ipaddress, useragent, br_renderengine, br_lang, last_browser.br_lang AS last_br_lang, os_timezone,
  COLUMNS('^(?:iab|ua|yauaa)_(.*)$') AS '\1', device_category, screen_resolution,
  coalesce(conversions, 0) AS conversions, coalesce(conversion_events, []) AS conversion_events,
  coalesce(conversion_values, []) AS conversion_values, coalesce(conversion_total, 0) AS conversion_total,
  first_conversion, conversions IS NOT NULL AS is_converted
FROM all_events
LEFT JOIN pages USING (domain_sessionid)
LEFT JOIN engaged USING (domain_sessionid)
LEFT JOIN converted USING (domain_sessionid)
