// Feeds the player from the stream's WebSocket, and finds in the bytes what tells
// how late they are:
//
// - when a picture is due, the presentation time stamp of its PES (ISO/IEC 13818-1
//   2.4.3.6 and 2.4.3.7);
// - the stamps that `lightmeter publish --demo` and `nearlight demo` put behind a
//   picture: packets of PID 0x1f00 with the text "nlprobe1" and four numbers of 16
//   hexadecimal digits: token, sequence number, and when it was to be sent and was,
//   in nanoseconds of the publisher's CLOCK_MONOTONIC.

import { now } from "./live.js";

const PACKET = 188;
const SYNC = 0x47;
const PID = 0x1f00;
const MAGIC = [..."nlprobe1"].map((letter) => letter.charCodeAt(0));
const INTENDED = 4 + 8 + 2 * 16;

/** When the stamp of a packet was to be sent, in microseconds; null if it has none. */
export function stampOf(bytes, at) {
  if (((bytes[at + 1] & 0x1f) << 8 | bytes[at + 2]) !== PID) return null;
  if (!MAGIC.every((letter, n) => bytes[at + 4 + n] === letter)) return null;
  const text = String.fromCharCode(...bytes.subarray(at + INTENDED, at + INTENDED + 16));
  return /^[0-9a-f]{16}$/.test(text) ? Number(BigInt(`0x${text}`) / 1000n) : null;
}

/** The presentation time stamp of a video PES that begins in a packet, in ticks of 90 kHz; null if none does. */
export function pictureOf(bytes, at) {
  if ((bytes[at + 1] & 0x40) === 0) return null;
  const from = at + ((bytes[at + 3] & 0x20) === 0 ? 4 : 5 + bytes[at + 4]);
  if (from + 14 > at + PACKET) return null;
  const isVideo = bytes[from] === 0 && bytes[from + 1] === 0 && bytes[from + 2] === 1 && (bytes[from + 3] & 0xf0) === 0xe0;
  if (!isVideo || (bytes[from + 7] & 0x80) === 0) return null;
  const [a, b, c, d, e] = bytes.subarray(from + 9, from + 14);
  return ((a >> 1) & 7) * 2 ** 30 + (b << 22) + ((c >> 1) << 15) + (d << 7) + (e >> 1);
}

/** Cuts a stream of bytes into packets, wherever its pieces end. */
export class Scanner {
  /** @param told  onPicture(pts, received) and onStamp(intended, received) */
  constructor(told) {
    this.told = told;
    this.rest = new Uint8Array(0);
  }

  push(piece, at) {
    let bytes = piece;
    if (this.rest.length > 0) {
      bytes = new Uint8Array(this.rest.length + piece.length);
      bytes.set(this.rest);
      bytes.set(piece, this.rest.length);
    }
    let from = 0;
    while (from + PACKET <= bytes.length) {
      if (bytes[from] !== SYNC) {
        from += 1;
        continue;
      }
      const intended = stampOf(bytes, from);
      if (intended !== null) this.told.onStamp(intended, at);
      const pts = pictureOf(bytes, from);
      if (pts !== null) this.told.onPicture(pts, at);
      from += PACKET;
    }
    this.rest = bytes.slice(from);
  }
}

/**
 * A loader for mpegts.js.
 * @param told  onPicture(pts, received), onStamp(intended, received), onBytes(), onEnd();
 *              times are microseconds, of this page's clock and the publisher's
 */
export function loader(mpegts, told) {
  return class extends mpegts.BaseLoader {
    constructor() {
      super("nearlight");
      this.received = 0;
      this.scanner = new Scanner(told);
    }

    open(source) {
      this._status = mpegts.LoaderStatus.kConnecting;
      const socket = new WebSocket(source.url);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        this._status = mpegts.LoaderStatus.kBuffering;
      };
      socket.onmessage = ({ data }) => {
        if (!(data instanceof ArrayBuffer)) return;
        this.scanner.push(new Uint8Array(data), now());
        told.onBytes();
        const from = this.received;
        this.received += data.byteLength;
        this._onDataArrival?.(data, from, this.received);
      };
      socket.onclose = () => {
        if (this.socket !== socket) return;
        this._status = mpegts.LoaderStatus.kComplete;
        told.onEnd();
      };
      this.socket = socket;
    }

    abort() {
      const socket = this.socket;
      this.socket = null;
      this._status = mpegts.LoaderStatus.kComplete;
      socket?.close();
    }

    destroy() {
      if (this.socket) this.abort();
      super.destroy();
    }
  };
}
