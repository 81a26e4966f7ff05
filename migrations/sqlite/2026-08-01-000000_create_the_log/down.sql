DROP TABLE events;
DROP TABLE mentions;
DROP TABLE members;
DROP TABLE rooms;
DROP TABLE refresh_tokens;
DROP TABLE logins;
DROP TABLE users;
