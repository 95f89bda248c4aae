-- Which events count, in the columns of Snowplow's atomic events? Columns that the event table lacks are null.
--
-- Left out are events without a session, those sent more than 3 days after they were created, those collected more than 3 days after
-- their session began, and robots. Of events with one id the first collected counts; of those, the first sent. A session belongs to
-- one visitor: the first. Where nothing else tells events apart, their text does, so that the order of arrival never counts.
WITH told AS (
  SELECT unnest(affected_events::STRUCT(
    -- what happened
    event_id VARCHAR, event_name VARCHAR, app_id VARCHAR, platform VARCHAR, page_view_id VARCHAR, tr_total_base DOUBLE,
    -- who
    domain_userid VARCHAR, network_userid VARCHAR, user_id VARCHAR, domain_sessionid VARCHAR, domain_sessionidx BIGINT,
    user_ipaddress VARCHAR, useragent VARCHAR,
    -- when
    dvce_created_tstamp TIMESTAMPTZ, dvce_sent_tstamp TIMESTAMPTZ, collector_tstamp TIMESTAMPTZ, derived_tstamp TIMESTAMPTZ,
    -- the page
    page_title VARCHAR, page_url VARCHAR, page_urlscheme VARCHAR, page_urlhost VARCHAR, page_urlpath VARCHAR, page_urlquery VARCHAR,
    page_urlfragment VARCHAR,
    -- where they came from
    page_referrer VARCHAR, refr_urlscheme VARCHAR, refr_urlhost VARCHAR, refr_urlpath VARCHAR, refr_urlquery VARCHAR,
    refr_urlfragment VARCHAR, refr_medium VARCHAR, refr_source VARCHAR, refr_term VARCHAR, mkt_medium VARCHAR, mkt_source VARCHAR,
    mkt_term VARCHAR, mkt_content VARCHAR, mkt_campaign VARCHAR, mkt_clickid VARCHAR, mkt_network VARCHAR,
    -- where they are
    geo_country VARCHAR, geo_region VARCHAR, geo_region_name VARCHAR, geo_city VARCHAR, geo_zipcode VARCHAR, geo_timezone VARCHAR,
    geo_latitude DOUBLE, geo_longitude DOUBLE,
    -- browser and screen
    br_lang VARCHAR, br_colordepth VARCHAR, br_renderengine VARCHAR, os_timezone VARCHAR, doc_width BIGINT, doc_height BIGINT,
    br_viewwidth BIGINT, br_viewheight BIGINT, dvce_screenwidth BIGINT, dvce_screenheight BIGINT, pp_xoffset_max BIGINT,
    pp_yoffset_max BIGINT,
    -- contexts, flattened: robots, user agent twice
    iab_category VARCHAR, iab_primary_impact VARCHAR, iab_reason VARCHAR, iab_spider_or_robot BOOLEAN, ua_useragent_family VARCHAR,
    ua_useragent_major VARCHAR, ua_useragent_minor VARCHAR, ua_useragent_patch VARCHAR, ua_useragent_version VARCHAR,
    ua_os_family VARCHAR, ua_os_major VARCHAR, ua_os_minor VARCHAR, ua_os_patch VARCHAR, ua_os_patch_minor VARCHAR,
    ua_os_version VARCHAR, ua_device_family VARCHAR, yauaa_device_class VARCHAR, yauaa_agent_class VARCHAR, yauaa_agent_name VARCHAR,
    yauaa_agent_name_version VARCHAR, yauaa_agent_name_version_major VARCHAR, yauaa_agent_version VARCHAR,
    yauaa_agent_version_major VARCHAR, yauaa_device_brand VARCHAR, yauaa_device_name VARCHAR, yauaa_device_version VARCHAR,
    yauaa_layout_engine_class VARCHAR, yauaa_layout_engine_name VARCHAR, yauaa_layout_engine_name_version VARCHAR,
    yauaa_layout_engine_name_version_major VARCHAR, yauaa_layout_engine_version VARCHAR, yauaa_layout_engine_version_major VARCHAR,
    yauaa_operating_system_class VARCHAR, yauaa_operating_system_name VARCHAR, yauaa_operating_system_name_version VARCHAR,
    yauaa_operating_system_version VARCHAR
  )) FROM affected_events
),
sent AS (
  SELECT * FROM told WHERE domain_sessionid IS NOT NULL AND dvce_sent_tstamp <= dvce_created_tstamp + INTERVAL 3 DAY
),
begun AS (
  SELECT
    domain_sessionid,
    min(collector_tstamp) AS session_start,
    max(collector_tstamp) AS session_end,
    arg_min(domain_userid, (collector_tstamp, event_id, domain_userid)) AS visitor
  FROM sent GROUP BY domain_sessionid
),
counted AS (
  SELECT sent.* REPLACE (begun.visitor AS domain_userid), session_start, session_end
  FROM sent JOIN begun USING (domain_sessionid)
  WHERE collector_tstamp <= session_start + INTERVAL 3 DAY
    AND NOT regexp_matches(
      coalesce(useragent, ''),
      'bot|PingdomBot|YandexBot|BingPreview|PhantomJS|crawl|slurp|spider|archiv|spinn|sniff|seo|audit|survey|pingdom|worm|capture'
      || '|(browser|screen)shots|analyz|index|thumb|check|facebook|360(Spider|User-agent)|semalt'
    )
),
repeated AS (
  SELECT domain_sessionid, event_id FROM counted GROUP BY ALL HAVING count(*) > 1
)
SELECT * FROM counted ANTI JOIN repeated USING (domain_sessionid, event_id)
UNION ALL
SELECT * FROM (
  SELECT * FROM counted AS row SEMI JOIN repeated USING (domain_sessionid, event_id)
  QUALIFY row_number() OVER (PARTITION BY domain_sessionid, event_id ORDER BY collector_tstamp, dvce_sent_tstamp, row::VARCHAR) = 1
)
