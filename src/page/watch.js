// The player at `/watch/NAME`: its stream, the delay that it adds up, and what
// the server says of both.

import { Live } from "./live.js";
import { Chart, Health } from "./chart.js";
import { Player } from "./player.js";
import { commands, fact, playLines, rate, say, share, span } from "./text.js";

const LOOK_MS = 250;
const SAY_MS = 10_000;
// Containers that are played as MPEG-TS.
const PLAYED = ["ts", "flv"];

const at = (id) => document.getElementById(id);
const name = location.pathname.slice("/watch/".length);
const video = at("video");
document.title = `${name} – nearlight`;
say(at("name"), name);
at("elsewhere").append(commands(playLines(name)));

const facts = at("facts");
const figures = {
  age: fact(facts, "Until received", "From the publisher to this page: by stamps in the stream, or estimated"),
  buffer: fact(facts, "In the player", "From then until it is on the screen"),
  trip: fact(facts, "Round trip", "From this page to the server's loop and back: p50, p99"),
  clock: fact(facts, "Clock error", "How wrong the server's clock, as known here, may be"),
  picture: fact(facts, "Picture"),
  frames: fact(facts, "Frames", "Decoded, and those of them that were not shown"),
};
const charts = {
  delay: new Chart(at("charts"), "Delay", span, ["all", "player"], 1e8),
  residence: new Chart(at("charts"), "Residence", span, ["p50", "p99"], 1e4),
  lag: new Chart(at("charts"), "Largest lag of a subscriber", span, [""], 1e6),
  rate: new Chart(at("charts"), "Rate", rate, [""], 1e4),
  skips: new Chart(at("charts"), "Skips", (count) => `${count}`, [""], 1),
  drops: new Chart(at("charts"), "Drops", (count) => `${count}`, [""], 1),
};
const health = new Health(at("health"));

// --- what the player says ------------------------------------------------

function tell(text) {
  say(at("message"), text);
  at("message").hidden = text === "";
}

const player = new Player(video, name, tell);
addEventListener("pagehide", () => player.stop());

// --- delay ---------------------------------------------------------------

let residence = null;
let all = null;
let held = null;

/** How old what has just come was when it came, in nanoseconds, and how we know. */
function age() {
  const { clock } = live;
  const trip = live.trip(0.5);
  if (clock !== null) {
    const stamped = player.age(clock);
    if (stamped !== null) return { span: stamped * 1000, kind: "measured by stamps in the stream" };
  }
  if (trip === null) return null;
  const why = player.isStamped ? "an estimate: the stamps are by a clock of another host" : "an estimate: residence + round trip / 2 + player";
  return { span: (residence ?? 0) + (trip * 1000) / 2, kind: why };
}

function look() {
  const part = age();
  const micros = player.held();
  held = micros === null ? null : micros * 1000;
  all = part === null || held === null ? null : part.span + held;
  const text = all === null ? "–" : `${Math.round(all / 1e6)} ms`;
  say(at("delay"), text);
  say(at("delay-kind"), all === null ? "" : part.kind);
  say(figures.age, part === null ? "–" : span(part.span));
  say(figures.buffer, held === null ? "–" : span(held));
  if (all !== null) {
    const share = Math.min(100, Math.max(0, (100 * part.span) / all));
    at("part-age").style.width = `${share}%`;
    at("part-buffer").style.width = `${100 - share}%`;
  }
  const [p50, p99] = [live.trip(0.5), live.trip(0.99)];
  say(figures.trip, p50 === null ? "–" : `${span(p50 * 1000)}${p99 === null ? "" : ` · ${span(p99 * 1000)}`}`);
  say(figures.clock, live.clock === null ? "–" : `± ${span(live.clock.error * 1000)}`);
  say(figures.picture, player.description());
  const quality = video.getVideoPlaybackQuality();
  say(figures.frames, `${quality.totalVideoFrames} · ${quality.droppedVideoFrames} not shown`);
}

setInterval(look, LOOK_MS);
setInterval(() => {
  if (all !== null && !document.hidden) say(at("delay-said"), `Delay ${(all / 1e9).toFixed(1)} seconds`);
}, SAY_MS);

// --- what the server says ------------------------------------------------

let before = null;

function show(news) {
  const { stream } = news;
  residence = stream?.residence_ns.p50 ?? null;
  charts.delay.push(all, held);
  charts.residence.push(residence, stream?.residence_ns.p99 ?? null);
  charts.lag.push(stream?.worst_lag_ns ?? null);
  charts.rate.push(stream?.rate_bytes_per_s ?? null);
  const grown = (a, b) => (a === undefined || b === undefined ? null : Math.max(0, b - a));
  charts.skips.push(grown(before?.stream?.skips, stream?.skips));
  charts.drops.push(grown(before?.stream?.datagrams_dropped, stream?.datagrams_dropped));
  health.push(news, span, share, rate);
  before = news;
  if (stream === null) return player.absent(`No stream “${name}” is live. It plays here as soon as it is.`);
  if (stream.framing === "auto") return player.absent("The stream has begun; waiting for its first bytes.");
  if (!PLAYED.includes(stream.framing)) return player.absent(`“${name}” is live, but its framing is ${stream.framing}: no video that a browser plays.`);
  player.present(stream.epoch);
}

const live = new Live(name, show, (state) => {
  say(at("link"), state === "open" ? location.host : "no connection; trying again");
  at("link").classList.toggle("lost", state !== "open");
});

// --- controls ------------------------------------------------------------

const toggles = {
  k: () => (video.paused ? player.play() : video.pause()),
  m: () => {
    video.muted = !video.muted;
  },
  f: () => (document.fullscreenElement ? document.exitFullscreen() : at("stage").requestFullscreen?.()),
};
at("play").addEventListener("click", toggles.k);
at("mute").addEventListener("click", toggles.m);
at("full").addEventListener("click", toggles.f);
video.addEventListener("click", toggles.k);
for (const event of ["play", "pause"]) video.addEventListener(event, () => say(at("play"), video.paused ? "Play" : "Pause"));
video.addEventListener("volumechange", () => say(at("mute"), video.muted ? "Unmute" : "Mute"));
document.addEventListener("fullscreenchange", () => say(at("full"), document.fullscreenElement ? "Leave full screen" : "Full screen"));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("button, a, summary, code")) return;
  const toggle = toggles[event.key.toLowerCase()];
  if (toggle === undefined) return;
  event.preventDefault();
  toggle();
});
// A hidden page may be slowed down; what it missed is not caught up with.
document.addEventListener("visibilitychange", () => !document.hidden && player.toEdge());

// For who looks into it by the console.
window.nearlight = { player, live, delay: () => all };
