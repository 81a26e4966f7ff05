-- Times are Unix milliseconds; ids are 63 random bits. Columns that end in `_key` hold
-- the lower-case form, so that both databases compare and sort alike.

CREATE TABLE users (
    id             BIGINT NOT NULL PRIMARY KEY,
    sub            TEXT   NOT NULL,
    username       TEXT,
    username_key   TEXT   COLLATE "C",
    password_hash  TEXT,
    name           TEXT   NOT NULL,
    name_key       TEXT   COLLATE "C" NOT NULL,
    role           TEXT   NOT NULL,
    status         TEXT   NOT NULL,
    revoked_before BIGINT NOT NULL,
    version        BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    CONSTRAINT users_sub UNIQUE (sub),
    CONSTRAINT users_username UNIQUE (username_key)
);
CREATE INDEX users_by_name ON users (name_key, id);

-- One sign-in on one device.
CREATE TABLE logins (
    id         BIGINT NOT NULL PRIMARY KEY,
    user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX logins_by_user ON logins (user_id);
CREATE INDEX logins_by_expiry ON logins (expires_at);

-- Every refresh token of a login, by hash. A used one stays, to catch its second use.
CREATE TABLE refresh_tokens (
    hash       TEXT   NOT NULL PRIMARY KEY,
    login      BIGINT NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    used_at    BIGINT,
    expires_at BIGINT NOT NULL
);
CREATE INDEX refresh_tokens_by_login ON refresh_tokens (login);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- What the fold of each room's log has come to. Rows change with every batch: the free
-- space lets an update stay on its page.
CREATE TABLE rooms (
    id             BIGINT  NOT NULL PRIMARY KEY,
    kind           TEXT    NOT NULL,
    pair_low       BIGINT,
    pair_high      BIGINT,
    name           TEXT    NOT NULL,
    name_key       TEXT    COLLATE "C" NOT NULL,
    topic          TEXT,
    capacity       BIGINT,
    epoch          TEXT    NOT NULL,
    head           BIGINT  NOT NULL,
    messages       BIGINT  NOT NULL,
    last_message   BIGINT  NOT NULL,
    rights_seq     BIGINT  NOT NULL,
    membership_seq BIGINT  NOT NULL,
    newest_id_at   BIGINT  NOT NULL,
    members        BIGINT  NOT NULL,
    closed         BOOLEAN NOT NULL,
    created_at     BIGINT  NOT NULL,
    changed_at     BIGINT  NOT NULL,
    CONSTRAINT rooms_pair UNIQUE (pair_low, pair_high)
) WITH (fillfactor = 70);
CREATE INDEX rooms_in_public ON rooms (name_key, id)
    WHERE kind IN ('open', 'broadcast') AND NOT closed;

-- Everybody who is, or ever was, in a room; `role` is NULL for who is not.
CREATE TABLE members (
    room        BIGINT NOT NULL,
    user_id     BIGINT NOT NULL,
    role        TEXT,
    seq         BIGINT NOT NULL,
    joined_seq  BIGINT NOT NULL,
    sent        BIGINT NOT NULL,
    read_seq    BIGINT NOT NULL,
    read_n      BIGINT NOT NULL,
    read_own    BIGINT NOT NULL,
    muted_until BIGINT,
    PRIMARY KEY (room, user_id)
) WITH (fillfactor = 70);
CREATE INDEX members_by_user ON members (user_id);

-- Who is called by name where.
CREATE TABLE mentions (
    user_id BIGINT NOT NULL,
    room    BIGINT NOT NULL,
    seq     BIGINT NOT NULL,
    PRIMARY KEY (user_id, room, seq)
);

-- The log. `n` is how many messages the room has up to and with this event, so that a
-- mark at any place is one look-up. `digest` tells a repeat from another event under the
-- same `client_id`.
CREATE TABLE events (
    room      BIGINT NOT NULL,
    seq       BIGINT NOT NULL,
    n         BIGINT NOT NULL,
    kind      TEXT   NOT NULL,
    sender    BIGINT NOT NULL,
    client_id TEXT   COLLATE "C" NOT NULL,
    target    BIGINT,
    reply_to  BIGINT,
    thread    BIGINT,
    mentions  TEXT,
    at        BIGINT NOT NULL,
    body      TEXT   NOT NULL,
    digest    BIGINT NOT NULL,
    PRIMARY KEY (room, seq),
    -- The id comes first because it begins with the time: new ones lie side by side.
    CONSTRAINT events_client_id UNIQUE (client_id, room, sender)
);
CREATE INDEX events_by_target ON events (room, target) WHERE target IS NOT NULL;
