-- Which life of the hot log may write. One row; every write-back holds it while it writes,
-- so that no writer of an old life outlasts the change.
CREATE TABLE lives (
    id       BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    name     TEXT   NOT NULL,
    begun_at BIGINT NOT NULL
);

-- Events that the database refuses for good, as they were; a `void` event has their place.
CREATE TABLE dead_letters (
    room   BIGINT NOT NULL,
    seq    BIGINT NOT NULL,
    at     BIGINT NOT NULL,
    reason TEXT   NOT NULL,
    event  TEXT   NOT NULL,
    PRIMARY KEY (room, seq)
);
