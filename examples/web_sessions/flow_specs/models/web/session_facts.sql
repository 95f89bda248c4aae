-- One row for each session: all that its own events tell. What others tell, who the visitor proved to be, comes in web_sessions.
--
-- A session that begins with a ping began 5 seconds before it. The last page is the one viewed last; without a page view, the first.
WITH ends AS (
  SELECT
    domain_sessionid,
    arg_min(event_id, (derived_tstamp, dvce_created_tstamp, event_id)) AS first_event,
    arg_min(event_id, (-epoch_us(derived_tstamp), -epoch_us(dvce_created_tstamp), event_id)) FILTER (event_name = 'page_view')
      AS last_view
  FROM page_events GROUP BY domain_sessionid
),
firsts AS (
  SELECT
    page_events.* EXCLUDE (event_id, page_view_id, domain_userid, session_start, session_end, medium, source, shops),
    if(event_name = 'page_ping', 5, 0) AS unseen
  FROM page_events JOIN ends ON ends.domain_sessionid = page_events.domain_sessionid AND first_event = event_id
),
lasts AS (
  SELECT
    page_events.domain_sessionid,
    if(page_url IS NULL, NULL, {
      'title': page_title, 'url': page_url, 'scheme': page_urlscheme, 'host': page_urlhost, 'path': page_urlpath,
      'query': page_urlquery, 'fragment': page_urlfragment
    }) AS last_page,
    if(geo_country IS NULL, NULL, {'country': geo_country, 'region': geo_region_name, 'city': geo_city}) AS last_place,
    br_lang AS last_br_lang
  FROM page_events JOIN ends ON ends.domain_sessionid = page_events.domain_sessionid AND last_view = event_id
),
pages AS (
  SELECT
    firsts.*,
    coalesce(last_page, {
      'title': page_title, 'url': page_url, 'scheme': page_urlscheme, 'host': page_urlhost, 'path': page_urlpath,
      'query': page_urlquery, 'fragment': page_urlfragment
    }) AS last_page,
    coalesce(last_place, {'country': geo_country, 'region': geo_region_name, 'city': geo_city}) AS last_place,
    coalesce(last_br_lang, br_lang) AS last_br_lang
  FROM firsts LEFT JOIN lasts USING (domain_sessionid)
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
    list_sum(conversion_values) AS conversion_total,
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
  last_page.title AS last_page_title, last_page.url AS last_page_url, last_page.scheme AS last_page_urlscheme,
  last_page.host AS last_page_urlhost, last_page.path AS last_page_urlpath, last_page.query AS last_page_urlquery,
  last_page.fragment AS last_page_urlfragment,
  page_referrer AS referrer, refr_urlscheme, refr_urlhost, refr_urlpath, refr_urlquery, refr_urlfragment,
  refr_medium, refr_source, refr_term,
  mkt_medium, mkt_source, mkt_term, mkt_content, mkt_campaign, mkt_clickid, mkt_network,
  nullif(regexp_extract(page_urlquery, 'utm_source_platform=([^?&#]*)', 1), '') AS mkt_source_platform, default_channel_group,
  geo_country, geo_region, geo_region_name, geo_city, geo_zipcode, geo_latitude, geo_longitude, geo_timezone,
  last_place.country AS last_geo_country, last_place.region AS last_geo_region_name, last_place.city AS last_geo_city,
  user_ipaddress, useragent, br_renderengine, br_lang, last_br_lang, os_timezone,
  COLUMNS('^(?:iab|ua|yauaa)_(.*)$') AS '\1', device_category, screen_resolution,
  coalesce(conversions, 0) AS conversions, coalesce(conversion_events, []) AS conversion_events,
  coalesce(conversion_values, []) AS conversion_values, coalesce(conversion_total, 0) AS conversion_total,
  first_conversion, conversions IS NOT NULL AS is_converted
FROM all_events
LEFT JOIN pages USING (domain_sessionid)
LEFT JOIN engaged USING (domain_sessionid)
LEFT JOIN converted USING (domain_sessionid)
