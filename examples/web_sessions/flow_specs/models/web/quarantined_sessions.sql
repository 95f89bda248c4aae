-- Which sessions go on for more than 3 days? Their later events are left out of all other models; such a session is often a robot.
SELECT domain_sessionid, visitor, session_start, session_end
FROM session_facts
WHERE session_end >= session_start + INTERVAL 3 DAY
