// What a client has to know of the protocol's errors, close codes and message ids.

/** What went wrong, with the node's own code and name; `retry` says whether to repeat. */
export class ProtocolError extends Error {
  constructor({ code = 0, name, message = name, retry = true, retry_after_ms, detail }) {
    super(message);
    Object.assign(this, { code, name, retry, retryAfter: retry_after_ms, detail });
  }
}
export const disconnected = () => new ProtocolError({ name: "disconnected" });
export const unanswered = () => new ProtocolError({ name: "unanswered" });

/** A UUIDv7: the time in front, so that ids sort by it; the rest is chance. */
export function uuid7(now = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 2 ** (8 * (5 - i))) & 0xff;
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** What a close code asks for: its hundred decides, so codes yet to come are understood. */
export function afterClose(code) {
  switch (Math.floor(code / 100)) {
    case 41: return { forget: true }; // a new hello, without positions
    case 42: return { freshToken: true };
    case 43: return { atLeast: 30_000 };
    case 44: return { stop: true }; // nothing to gain by trying again
    default: return {}; // 40xx, 1001, 1006: resume
  }
}
