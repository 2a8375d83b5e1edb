// One stream in one <video>: connects, keeps to the live edge, starts again when
// the stream ends, and says what is wrong in words.

import { now } from "./live.js";
import { loader } from "./loader.js";

const BACKOFF_MS = [250, 500, 1000, 2000, 4000, 8000];
// A stream that has brought bytes for so long and no picture never will.
const SILENT_MS = 8000;
// A player that has stopped so often without a picture never gets one.
const TRIES = 2;
// What pictures and stamps say is the median of those of so long.
const RECENT_US = 2e6;
// Who has paused for so many seconds has left; what gathers meanwhile is of no use.
const PAUSED = 20;
// A stamp can't be younger than now, nor older than this: then its clock is another's.
const AGE_US = 60e6;

// Ahead of the picture is kept what a frame and a late packet need. Beyond `max`
// seconds it plays a little faster until it is at `target`; beyond `jump`, or in a
// gap, it jumps. On a busy machine a picture that jumped whenever it was half a
// second late stood still a sixth of the time, one with `max` 0.3 and `target` 0.12
// an eighth, one with 0.5 and 0.25 a fiftieth; on a quiet one 0.38 and 0.2 never did.
const EDGE = { target: 0.2, max: 0.4, rate: 1.1, jump: 1.2 };

// Ticks of 90 kHz in 33 bits.
const TURN = 2 ** 33;

function keep(list, one) {
  list.push(one);
  while (one.received - list[0].received > RECENT_US) list.shift();
}

function median(list, of) {
  const recent = list.filter((one) => now() - one.received < RECENT_US).map(of).sort((a, b) => a - b);
  return recent.length === 0 ? null : recent[Math.floor(recent.length / 2)];
}

export class Player {
  constructor(video, name, tell) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.url = `${scheme}://${location.host}/${name}.ts`;
    this.video = video;
    this.tell = tell;
    this.failures = 0;
    this.epoch = null;
    this.refusal = null;
    this.hasLeft = false;
    this.forget();
    video.addEventListener("playing", () => {
      this.failures = 0;
      tell("");
    });
    video.addEventListener("waiting", () => this.jumpGap());
  }

  /** The stream is live, in this life of it. */
  present(epoch) {
    if (this.epoch !== epoch) {
      this.epoch = epoch;
      this.failures = 0;
      this.refusal = null;
      this.stop();
    }
    if (this.hasLeft) return undefined;
    if (this.refusal !== null) return this.tell(this.refusal);
    if (this.player === undefined && !this.waits) this.start();
  }

  /** There is nothing to play, for this reason. */
  absent(text) {
    // What is buffered is still shown.
    if (this.player !== undefined && this.buffer() > 0.05) return;
    this.epoch = null;
    this.stop();
    this.tell(text);
  }

  start() {
    if (!mpegts.getFeatureList().mseLivePlayback) {
      this.refusal = "This browser has no Media Source Extensions, so it can’t play live video here.";
      return this.tell(this.refusal);
    }
    Object.assign(mpegts.LoggingControl, { enableVerbose: false, enableDebug: false, enableInfo: false, enableWarn: false });
    this.tell("Connecting …");
    this.forget();
    const told = {
      onPicture: (pts, received) => this.picture(pts, received),
      onStamp: (intended, received) => this.stamp(intended, received),
      onBytes: () => this.bytes(),
      onEnd: () => this.again("The stream has ended; waiting for it to come back."),
    };
    const player = mpegts.createPlayer(
      { type: "mpegts", isLive: true, url: this.url },
      {
        customLoader: loader(mpegts, told),
        enableStashBuffer: false,
        lazyLoad: false,
        autoCleanupSourceBuffer: true,
        autoCleanupMaxBackwardDuration: 12,
        autoCleanupMinBackwardDuration: 6,
        liveSync: true,
        liveSyncMaxLatency: EDGE.max,
        liveSyncTargetLatency: EDGE.target,
        liveSyncPlaybackRate: EDGE.rate,
        liveBufferLatencyChasing: true,
        liveBufferLatencyMaxLatency: EDGE.jump,
        liveBufferLatencyMinRemain: EDGE.target,
      },
    );
    player.on(mpegts.Events.MEDIA_INFO, (media) => {
      this.media = media;
    });
    player.on(mpegts.Events.ERROR, (_, detail, info) => {
      // Not at once: it goes on with what it was at.
      setTimeout(() => this.player === player && this.fail(detail, info));
    });
    this.player = player;
    player.attachMediaElement(this.video);
    player.load();
    this.findBase(player);
    this.play();
  }

  forget() {
    this.pictures = [];
    this.stamps = [];
    this.isStamped = false;
    this.media = null;
    this.began = null;
    this.first = null;
    this.base = null;
  }

  // The player counts from the first picture that it is given, which is the first
  // that it shows.
  findBase(player) {
    this.video.requestVideoFrameCallback?.((_, { mediaTime }) => {
      if (this.player === player && this.first !== null) this.base = this.first - mediaTime * 1e6;
    });
  }

  async play() {
    // The next news start it.
    this.hasLeft = false;
    this.toEdge();
    try {
      await this.video.play();
    } catch (why) {
      if (why.name === "NotAllowedError") this.tell("The browser doesn’t start it by itself: press Play.");
    }
  }

  stop() {
    clearTimeout(this.waits);
    this.waits = undefined;
    const player = this.player;
    this.player = undefined;
    player?.destroy();
  }

  again(text) {
    this.stop();
    this.tell(text);
    const wait = BACKOFF_MS[Math.min(this.failures++, BACKOFF_MS.length - 1)];
    // Whether it is live is said with the next news: that starts it.
    this.waits = setTimeout(() => {
      this.waits = undefined;
    }, wait * (0.75 + Math.random() / 2));
  }

  fail(detail, info) {
    const { ErrorDetails } = mpegts;
    const words = {
      [ErrorDetails.MEDIA_FORMAT_UNSUPPORTED]: "What comes is no MPEG-TS, so it can’t be played here.",
      [ErrorDetails.MEDIA_CODEC_UNSUPPORTED]: "This browser doesn’t play the stream’s codec. H.264 with AAC plays everywhere.",
    };
    const isCodec = detail === ErrorDetails.MEDIA_MSE_ERROR && /codec|type|support/i.test(info?.msg ?? "");
    let text = isCodec ? words[ErrorDetails.MEDIA_CODEC_UNSUPPORTED] : words[detail];
    if (text === undefined && this.failures >= TRIES) text = words[ErrorDetails.MEDIA_CODEC_UNSUPPORTED];
    if (text !== undefined) {
      this.stop();
      this.refusal = text;
      return this.tell(text);
    }
    this.again("The player stopped; starting again.");
  }

  bytes() {
    const buffer = this.buffer();
    // Browsers stop muted pictures that nobody sees.
    if (document.hidden && buffer > EDGE.jump) this.toEdge();
    else if (this.video.paused && buffer > PAUSED) {
      this.hasLeft = true;
      this.stop();
      return this.tell("Paused. Play goes on live.");
    }
    this.began ??= now();
    if (buffer === null && now() - this.began > SILENT_MS * 1000) {
      this.stop();
      this.refusal = "The stream has no picture or sound that this browser plays. H.264 with AAC plays everywhere.";
      this.tell(this.refusal);
    }
  }

  picture(ticks, received) {
    const before = this.pictures.at(-1);
    // 33 bits of ticks turn over after a day.
    const step = before === undefined ? 0 : ticks - before.ticks;
    const turned = step - Math.round(step / TURN) * TURN;
    const due = before === undefined ? (ticks * 100) / 9 : before.due + (turned * 100) / 9;
    this.first ??= due;
    keep(this.pictures, { ticks, due, received });
  }

  stamp(intended, received) {
    this.isStamped = true;
    keep(this.stamps, { intended, received });
  }

  /** Median age of what came lately, when it came, in microseconds; null without stamps of the server's own clock. */
  age({ offset, error }) {
    const age = median(this.stamps, (one) => one.received + offset - one.intended);
    return age === null || age < -error - 1000 || age > AGE_US ? null : Math.max(0, age);
  }

  /**
   * For how long what is on the screen has been here, in microseconds; null if
   * nothing plays. `buffered` would say less: it ends with the shorter of picture
   * and sound, and without the picture that is still being received.
   */
  held() {
    const buffer = this.buffer();
    if (buffer === null) return null;
    const came = median(this.pictures, (one) => one.received - one.due);
    if (came !== null && this.base !== null) {
      const held = now() - came - this.base - this.video.currentTime * 1e6;
      // Where time stamps jump, the player counts on by itself.
      if (held > (buffer - 0.1) * 1e6 && held < (buffer + 1) * 1e6) return held;
    }
    return buffer * 1e6;
  }

  /** Seconds buffered ahead of the picture; null if nothing plays. */
  buffer() {
    const { buffered, currentTime } = this.video;
    if (this.player === undefined || buffered.length === 0) return null;
    return Math.max(0, buffered.end(buffered.length - 1) - currentTime);
  }

  toEdge() {
    if (this.buffer() > EDGE.max) {
      const { buffered } = this.video;
      this.video.currentTime = buffered.end(buffered.length - 1) - EDGE.target;
    }
  }

  // Behind a part that the server has skipped for us there is more.
  jumpGap() {
    const { buffered, currentTime } = this.video;
    for (let n = 0; n < buffered.length; n++) {
      if (buffered.start(n) > currentTime) {
        this.video.currentTime = buffered.start(n) + 0.01;
        return;
      }
    }
  }

  /** What is played, in words. */
  description() {
    const { videoWidth, videoHeight } = this.video;
    if (videoWidth === 0) return "–";
    const codecs = [this.media?.videoCodec, this.media?.audioCodec].filter(Boolean).join(", ");
    return `${videoWidth} × ${videoHeight}${codecs ? ` · ${codecs}` : ""}`;
  }
}
