// What the server says of itself, over one WebSocket that is opened again
// whenever it ends; and how far its clock is from the page's.

const PING_MS = 500;
const FIRST_PINGS_MS = 50;
const FIRST_PINGS = 8;
// Round trips remembered: five minutes of them.
const KEPT = 600;
// The clocks' offset is that of the shortest round trip among so many: half a
// minute, in which two clocks drift apart by a millisecond at most.
const OFFSET_OF = 60;
const BACKOFF_MS = [250, 500, 1000, 2000, 4000, 8000];

/** Clock of this page, in microseconds. */
export const now = () => performance.now() * 1000;

export class Live {
  /**
   * @param stream   the stream that is shown, or null
   * @param onNews   called with each message
   * @param onState  called with "open" or "lost"
   */
  constructor(stream, onNews, onState) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.url = `${scheme}://${location.host}/api/live${stream === null ? "" : `/${stream}`}`;
    this.onNews = onNews;
    this.onState = onState;
    this.trips = [];
    this.sent = new Map();
    this.count = 0;
    this.failures = 0;
    this.isClosed = false;
    // A page that is kept for the way back would be a subscriber that reads nothing.
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && location.reload());
    this.open();
  }

  close() {
    this.isClosed = true;
    this.socket.close();
  }

  open() {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => {
      // Another server may answer now, with another clock.
      this.trips = [];
      this.sent.clear();
      this.onState("open");
      this.ping();
    };
    socket.onmessage = (event) => {
      const at = now();
      const message = JSON.parse(event.data);
      if ("pong" in message) {
        this.pong(message, at);
      } else {
        this.failures = 0;
        this.onNews(message);
      }
    };
    socket.onclose = () => {
      clearTimeout(this.timer);
      if (this.isClosed) return;
      this.onState("lost");
      const wait = BACKOFF_MS[Math.min(this.failures++, BACKOFF_MS.length - 1)];
      setTimeout(() => this.open(), wait * (0.75 + Math.random() / 2));
    };
  }

  ping() {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    const number = this.count++;
    this.sent.set(number, now());
    this.socket.send(`{"ping":${number}}`);
    const wait = this.trips.length < FIRST_PINGS ? FIRST_PINGS_MS : PING_MS;
    this.timer = setTimeout(() => this.ping(), wait);
  }

  // As NTP does it: the server's two times stand between our two.
  pong({ pong, received_us, sent_us }, at) {
    const asked = this.sent.get(pong);
    if (asked === undefined) return;
    this.sent.delete(pong);
    const trip = Math.max(0, at - asked - (sent_us - received_us));
    this.trips.push({ trip, offset: (received_us - asked + (sent_us - at)) / 2 });
    if (this.trips.length > KEPT) this.trips.shift();
  }

  /** Round trip that a part q is not longer than, in microseconds; null without the samples. */
  trip(q) {
    const count = this.trips.length;
    if (count === 0 || (q > 0.5 && count * (1 - q) < 1)) return null;
    const sorted = this.trips.map((one) => one.trip).sort((a, b) => a - b);
    return sorted[Math.min(count - 1, Math.ceil(count * q) - 1)];
  }

  /** What to add to this page's clock to have the server's, and how wrong that may be; null before the first answer. */
  get clock() {
    const recent = this.trips.slice(-OFFSET_OF);
    if (recent.length === 0) return null;
    const best = recent.reduce((a, b) => (b.trip < a.trip ? b : a));
    return { offset: best.offset, error: best.trip / 2 };
  }
}
