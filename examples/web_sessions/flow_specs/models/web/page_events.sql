-- What is seen of pages: the events that view a page or stay on it, and what kind of page, device and channel that is.
--
-- The channel follows from the campaign's medium and source alone; without a list of sites nobody can tell a search engine from others.
SELECT
  *,
  dvce_screenwidth || 'x' || dvce_screenheight AS screen_resolution,
  CASE yauaa_device_class WHEN 'Desktop' THEN 'Desktop' WHEN 'Phone' THEN 'Mobile' WHEN 'Tablet' THEN 'Tablet' ELSE 'Other' END
    AS device_category,
  CASE
    WHEN contains(page_url, '/product') THEN 'PDP'
    WHEN contains(page_url, '/list') THEN 'PLP'
    WHEN contains(page_url, '/checkout') THEN 'checkout'
    WHEN contains(page_url, '/home') THEN 'homepage'
    ELSE 'other'
  END AS content_group,
  CASE
    WHEN source = '(direct)' AND medium IN ('(not set)', '(none)') THEN 'Direct'
    WHEN contains(medium, 'cross-network') THEN 'Cross-network'
    WHEN regexp_full_match(medium, '.*cp.*|ppc|retargeting|paid.*') THEN if(shops, 'Paid Shopping', 'Paid Other')
    WHEN medium IN ('display', 'banner', 'expandable', 'interstitial') THEN 'Display'
    WHEN shops THEN 'Organic Shopping'
    WHEN medium IN ('social', 'social-network', 'social network', 'social media', 'sm') THEN 'Organic Social'
    WHEN contains(medium, 'video') THEN 'Organic Video'
    WHEN medium = 'organic' THEN 'Organic Search'
    WHEN medium IN ('referral', 'app', 'link') THEN 'Referral'
    WHEN regexp_full_match(medium, 'e[-_ ]?mail') OR regexp_full_match(source, 'e[-_ ]?mail') THEN 'Email'
    WHEN medium = 'affiliate' THEN 'Affiliates'
    WHEN medium = 'audio' THEN 'Audio'
    WHEN medium = 'sms' OR source = 'sms' THEN 'SMS'
    WHEN regexp_full_match(medium, '.*push|.*(mobile|notification).*') OR source = 'firebase' THEN 'Mobile Push Notifications'
    ELSE 'Unassigned'
  END AS default_channel_group
FROM (
  SELECT
    *,
    lower(trim(mkt_medium)) AS medium,
    lower(trim(mkt_source)) AS source,
    regexp_matches(lower(mkt_campaign), '(^|[^a-df-z])shop|shopping') AS shops
  FROM events
)
WHERE event_name IN ('page_view', 'page_ping') AND page_view_id IS NOT NULL
