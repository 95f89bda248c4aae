-- One row for each page view, with how long and how far the page was looked at.
--
-- A page is looked at for 5 seconds when its first ping comes, and for 10 more with each further span of 10 seconds that has a ping.
-- Pings count for the page view of their own session only.
WITH viewed AS (
  SELECT *, row_number() OVER (PARTITION BY domain_sessionid ORDER BY derived_tstamp, dvce_created_tstamp, event_id) AS position
  FROM (
    SELECT * FROM page_events WHERE event_name = 'page_view'
    QUALIFY row_number() OVER (PARTITION BY domain_sessionid, page_view_id ORDER BY derived_tstamp, dvce_created_tstamp, event_id) = 1
  )
),
pinged AS (
  SELECT
    domain_sessionid,
    page_view_id,
    max(derived_tstamp) AS last_ping,
    10 * (count(DISTINCT floor(epoch(dvce_created_tstamp) / 10)) - 1) + 5 AS engaged
  FROM page_events WHERE event_name = 'page_ping' GROUP BY ALL
),
scrolled AS (
  SELECT
    domain_sessionid,
    page_view_id,
    max(doc_width) AS width,
    max(doc_height) AS height,
    least(greatest(max(coalesce(pp_xoffset_max, 0)), 0), width) AS x,
    least(greatest(max(coalesce(pp_yoffset_max, 0)), 0), height) AS y,
    round(100 * least(x + max(br_viewwidth), width) / width) AS x_percentage,
    round(100 * least(y + max(br_viewheight), height) / height) AS y_percentage
  FROM page_events WHERE doc_width > 0 AND doc_height > 0 GROUP BY ALL
)
SELECT
  page_view_id, event_id, app_id, platform,
  user_id, domain_userid, network_userid, domain_sessionid, domain_sessionidx,
  position AS page_view_in_session_index,
  count(*) OVER (PARTITION BY domain_sessionid) AS page_views_in_session,
  dvce_created_tstamp, collector_tstamp, derived_tstamp,
  derived_tstamp AS start_tstamp,
  coalesce(last_ping, derived_tstamp) AS end_tstamp,
  coalesce(engaged, 0) AS engaged_time_in_s,
  date_diff('second', derived_tstamp, coalesce(last_ping, derived_tstamp)) AS absolute_time_in_s,
  x AS horizontal_pixels_scrolled, y AS vertical_pixels_scrolled,
  x_percentage AS horizontal_percentage_scrolled, y_percentage AS vertical_percentage_scrolled,
  doc_width, doc_height, content_group,
  page_title, page_url, page_urlscheme, page_urlhost, page_urlpath, page_urlquery, page_urlfragment,
  mkt_medium, mkt_source, mkt_term, mkt_content, mkt_campaign, mkt_clickid, mkt_network, default_channel_group,
  page_referrer, refr_urlscheme, refr_urlhost, refr_urlpath, refr_urlquery, refr_urlfragment, refr_medium, refr_source, refr_term,
  geo_country, geo_region, geo_region_name, geo_city, geo_zipcode, geo_latitude, geo_longitude, geo_timezone,
  user_ipaddress, useragent, br_lang, br_viewwidth, br_viewheight, br_colordepth, br_renderengine, os_timezone,
  COLUMNS('^(?:iab|ua|yauaa)_(.*)$') AS '\1', device_category, screen_resolution
FROM viewed
LEFT JOIN pinged USING (domain_sessionid, page_view_id)
LEFT JOIN scrolled USING (domain_sessionid, page_view_id)
