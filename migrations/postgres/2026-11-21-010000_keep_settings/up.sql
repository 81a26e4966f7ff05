-- Settings that were changed while nodes run: every version whole, the newest holds.
CREATE TABLE settings (
    version    BIGINT  NOT NULL PRIMARY KEY,
    changed_by BIGINT  NOT NULL,
    at         BIGINT  NOT NULL,
    body       TEXT    NOT NULL
);
