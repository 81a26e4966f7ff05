DROP INDEX users_by_revision;
ALTER TABLE users DROP COLUMN revision;
DROP TABLE user_revisions;
