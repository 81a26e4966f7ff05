-- Changes of accounts and ends of logins are numbered, so that nodes find what they were not
-- told. The counter's row is held until the commit: a lower number is never seen later.
CREATE TABLE user_revisions (
    id     BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    newest BIGINT NOT NULL
);
INSERT INTO user_revisions (id, newest) VALUES (1, 0);

-- The number of this account's last change; 0 before the first.
ALTER TABLE users ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
CREATE INDEX users_by_revision ON users (revision);
