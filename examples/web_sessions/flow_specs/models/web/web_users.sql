-- One row for each visitor: the first session, the last, and sums over all.
WITH firsts AS (
  SELECT * FROM web_sessions
  QUALIFY row_number() OVER (PARTITION BY domain_userid ORDER BY start_tstamp, domain_sessionid DESC) = 1
),
lasts AS (
  SELECT * FROM web_sessions
  QUALIFY row_number() OVER (PARTITION BY domain_userid ORDER BY end_tstamp DESC, domain_sessionid DESC) = 1
),
sums AS (
  SELECT
    domain_userid,
    min(start_tstamp) AS start_tstamp,
    max(end_tstamp) AS end_tstamp,
    sum(page_views)::BIGINT AS page_views,
    count(*) AS sessions,
    sum(engaged_time_in_s)::BIGINT AS engaged_time_in_s
  FROM web_sessions GROUP BY domain_userid
)
SELECT
  first.user_id, domain_userid, first.network_userid,
  sums.start_tstamp, sums.end_tstamp, sums.page_views, sums.sessions, sums.engaged_time_in_s,
  first.first_page_title, first.first_page_url, first.first_page_urlscheme, first.first_page_urlhost, first.first_page_urlpath,
  first.first_page_urlquery, first.first_page_urlfragment,
  first.geo_country AS first_geo_country, first.geo_country_name AS first_geo_country_name, first.geo_continent AS first_geo_continent,
  first.geo_city AS first_geo_city, first.geo_region_name AS first_geo_region_name, first.br_lang AS first_br_lang,
  last.last_page_title, last.last_page_url, last.last_page_urlscheme, last.last_page_urlhost, last.last_page_urlpath,
  last.last_page_urlquery, last.last_page_urlfragment,
  last.last_geo_country, last.last_geo_country_name, last.last_geo_continent,
  last.last_geo_city, last.last_geo_region_name, last.last_br_lang,
  first.referrer, first.refr_urlscheme, first.refr_urlhost, first.refr_urlpath, first.refr_urlquery, first.refr_urlfragment,
  first.refr_medium, first.refr_source, first.refr_term,
  first.mkt_medium, first.mkt_source, first.mkt_term, first.mkt_content, first.mkt_campaign, first.mkt_clickid, first.mkt_network,
  first.mkt_source_platform, first.default_channel_group
FROM sums JOIN firsts AS first USING (domain_userid) JOIN lasts AS last USING (domain_userid)
