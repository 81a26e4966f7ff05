// The address of a room is `#/r/<room>`, so that the back button and links work.

const PATTERN = /^#\/r\/(.+)$/;

export function currentRoom() {
  const match = location.hash.match(PATTERN);
  return match ? decodeURIComponent(match[1]) : null;
}

export function goTo(room) {
  location.hash = room ? `#/r/${encodeURIComponent(room)}` : "";
}
