// The list of live streams at `/`, and how the server is.

import { Live } from "./live.js";
import { Health } from "./chart.js";
import { commands, fact, make, many, playLines, rate, say, share, span } from "./text.js";

const at = (id) => document.getElementById(id);
const rows = new Map();
const health = new Health(at("charts"));
const facts = at("facts");
const figures = {
  connections: fact(facts, "Connections"),
  skips: fact(facts, "Skips", "Jumps forward of subscribers that were too far behind"),
  drops: fact(facts, "Drops", "Datagrams that the kernel did not take or lost"),
  refused: fact(facts, "Refused", "Peers and requests refused"),
  trip: fact(facts, "Round trip", "From this page to the server's loop and back: p50"),
};

class Row {
  constructor(name) {
    this.link = make("a", { class: "name", href: `/watch/${name}` }, name);
    this.kind = make("span", { class: "tag" });
    const list = make("dl", { class: "facts" });
    this.rate = fact(list, "Rate");
    this.subscribers = fact(list, "Subscribers");
    this.p50 = fact(list, "Residence p50", "From a frame's arrival to after the send; of the last ten seconds");
    this.p99 = fact(list, "Residence p99", "The same, of the last minute");
    this.lag = fact(list, "Largest lag", "Of its subscribers on connections");
    this.lost = fact(list, "Skips, drops", "Jumps forward of its subscribers, and datagrams that the kernel did not take");
    const more = make("details", {}, make("summary", {}, "Play elsewhere"));
    more.addEventListener("toggle", () => more.open && more.children.length === 1 && more.append(commands(playLines(name))));
    this.element = make("li", {}, make("div", { class: "head" }, this.link, this.kind), list, more);
  }

  show(stream) {
    say(this.kind, stream.framing);
    say(this.rate, rate(stream.rate_bytes_per_s));
    say(this.subscribers, stream.behind > 0 ? `${stream.subscribers} (${stream.behind} behind)` : `${stream.subscribers}`);
    say(this.p50, span(stream.residence_ns.p50));
    say(this.p99, span(stream.residence_ns.p99));
    say(this.lag, span(stream.worst_lag_ns));
    say(this.lost, `${stream.skips}, ${stream.datagrams_dropped}`);
  }
}

function show(streams, more) {
  const list = at("streams");
  const live = new Set(streams.map((stream) => stream.name));
  for (const [name, row] of rows) {
    if (live.has(name)) continue;
    row.element.remove();
    rows.delete(name);
  }
  let before = null;
  for (const stream of streams) {
    let row = rows.get(stream.name);
    if (row === undefined) {
      row = new Row(stream.name);
      rows.set(stream.name, row);
      // They come by name: it belongs behind the one before.
      if (before === null) list.prepend(row.element);
      else before.element.after(row.element);
    }
    row.show(stream);
    before = row;
  }
  at("empty").hidden = streams.length > 0;
  at("more").hidden = more === 0;
  say(at("more"), `and ${many(more, "stream")} more; /api/streams has them all`);
  document.title = streams.length > 0 ? `${many(streams.length + more, "stream")} – nearlight` : "nearlight";
}

/** Ways to publish here, as the listeners are: a label and a line each. */
function publishLines(listeners) {
  const host = location.hostname;
  const http = `${location.protocol}//${location.host}/live/cam.ts`;
  const lines = [
    ["ffmpeg", `ffmpeg -re -i FILE -c copy -f mpegts ${http}`],
    ["test picture", "ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440 -c:v libx264 "
      + `-preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 30 -c:a aac -f mpegts ${http}`],
  ];
  for (const { scheme, port, publish } of listeners) {
    if (scheme === "rtmp") lines.push(["rtmp", `ffmpeg -re -i FILE -c copy -f flv rtmp://${host}:${port}/live/cam`]);
    if (publish === undefined) continue;
    const more = scheme === "udp" ? "?pkt_size=1316" : "?tcp_nodelay=1";
    lines.push([`${scheme}, ${publish}`, `ffmpeg -re -i FILE -c copy -f mpegts '${scheme}://${host}:${port}${more}'`]);
  }
  return lines;
}

/** What to set in OBS: over RTMP where that is listened for, else over HTTP. */
function obs(listeners) {
  const rtmp = listeners.find((one) => one.scheme === "rtmp" && one.publish === undefined);
  const code = (text) => make("code", {}, text);
  if (rtmp !== undefined) {
    const port = rtmp.port === 1935 ? "" : `:${rtmp.port}`;
    return ["OBS: Settings, Stream, service “Custom”, server ", code(`rtmp://${location.hostname}${port}/live`), ", stream key ",
      code("cam"), "; Output, keyframe interval one second, tune zerolatency."];
  }
  return ["OBS: Settings, Output, Advanced, Recording, type “Custom Output (FFmpeg)”, output to URL ",
    code(`${location.protocol}//${location.host}/live/cam.ts`),
    ", container mpegts, encoder libx264, keyframe interval one second, tune zerolatency; then Start Recording."];
}

let isTold = false;

function tellHow(listeners) {
  if (isTold) return;
  isTold = true;
  at("publish").append(commands(publishLines(listeners)), make("p", { class: "note" }, ...obs(listeners)));
}

const live = new Live(
  null,
  (news) => {
    tellHow(news.listeners);
    show(news.streams, news.more);
    health.push(news, span, share, rate);
    for (const key of ["connections", "skips", "drops", "refused"]) say(figures[key], `${news.server[key]}`);
    const trip = live.trip(0.5);
    say(figures.trip, trip === null ? "–" : span(trip * 1000));
  },
  (state) => {
    say(at("link"), state === "open" ? location.host : "no connection; trying again");
    at("link").classList.toggle("lost", state !== "open");
  },
);
