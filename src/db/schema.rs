// @generated automatically by Diesel CLI.

diesel::table! {
    dead_letters (room, seq) {
        room -> Int8,
        seq -> Int8,
        at -> Int8,
        reason -> Text,
        event -> Text,
    }
}

diesel::table! {
    events (room, seq) {
        room -> Int8,
        seq -> Int8,
        n -> Int8,
        kind -> Text,
        sender -> Int8,
        client_id -> Text,
        target -> Nullable<Int8>,
        reply_to -> Nullable<Int8>,
        thread -> Nullable<Int8>,
        mentions -> Nullable<Text>,
        at -> Int8,
        body -> Text,
        digest -> Int8,
    }
}

diesel::table! {
    lives (id) {
        id -> Int8,
        name -> Text,
        begun_at -> Int8,
    }
}

diesel::table! {
    logins (id) {
        id -> Int8,
        user_id -> Int8,
        device -> Text,
        created_at -> Int8,
        used_at -> Int8,
        expires_at -> Int8,
    }
}

diesel::table! {
    members (room, user_id) {
        room -> Int8,
        user_id -> Int8,
        role -> Nullable<Text>,
        seq -> Int8,
        joined_seq -> Int8,
        sent -> Int8,
        read_seq -> Int8,
        read_n -> Int8,
        read_own -> Int8,
        muted_until -> Nullable<Int8>,
    }
}

diesel::table! {
    mentions (user_id, room, seq) {
        user_id -> Int8,
        room -> Int8,
        seq -> Int8,
    }
}

diesel::table! {
    refresh_tokens (hash) {
        hash -> Text,
        login -> Int8,
        used_at -> Nullable<Int8>,
        expires_at -> Int8,
    }
}

diesel::table! {
    rooms (id) {
        id -> Int8,
        kind -> Text,
        pair_low -> Nullable<Int8>,
        pair_high -> Nullable<Int8>,
        name -> Text,
        name_key -> Text,
        topic -> Nullable<Text>,
        capacity -> Nullable<Int8>,
        epoch -> Text,
        head -> Int8,
        messages -> Int8,
        last_message -> Int8,
        rights_seq -> Int8,
        membership_seq -> Int8,
        newest_id_at -> Int8,
        members -> Int8,
        closed -> Bool,
        created_at -> Int8,
        changed_at -> Int8,
    }
}

diesel::table! {
    settings (version) {
        version -> Int8,
        changed_by -> Int8,
        at -> Int8,
        body -> Text,
    }
}

diesel::table! {
    user_revisions (id) {
        id -> Int8,
        newest -> Int8,
    }
}

diesel::table! {
    users (id) {
        id -> Int8,
        sub -> Text,
        username -> Nullable<Text>,
        username_key -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        name -> Text,
        name_key -> Text,
        role -> Text,
        status -> Text,
        revoked_before -> Int8,
        version -> Int8,
        created_at -> Int8,
        revision -> Int8,
    }
}

diesel::joinable!(logins -> users (user_id));
diesel::joinable!(refresh_tokens -> logins (login));

diesel::allow_tables_to_appear_in_same_query!(
    dead_letters,
    events,
    lives,
    logins,
    members,
    mentions,
    refresh_tokens,
    rooms,
    settings,
    user_revisions,
    users,
);
