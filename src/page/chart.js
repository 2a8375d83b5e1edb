// A line over the last minute, with its present value beside it as text: who
// can't see the line reads that.

import { make, say } from "./text.js";

const POINTS = 120;
const WIDTH = 240;
const HEIGHT = 48;
const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** The next of 1, 2, 5, 10, 20 … that is not smaller. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value);
}

export class Chart {
  /**
   * @param host    where it goes
   * @param title   what it shows
   * @param format  a value as text
   * @param names   what each line is called; one line needs no name
   * @param least   the smallest value that the top of the chart stands for
   */
  constructor(host, title, format, names, least) {
    this.format = format;
    this.names = names;
    this.least = least;
    this.series = names.map(() => []);
    // A line is known by the colour of its value.
    this.values = names.map((_, n) => make("span", { class: `of${n % 4}` }, "–"));
    const named = names.map((name, n) => make("span", {}, name ? `${name} ` : "", this.values[n]));
    this.value = make("span", { class: names.length > 1 ? "value many" : "value" }, ...named);
    this.top = make("span", { class: "scale" }, "");
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.area = svg("path", { class: "area" });
    this.svg.append(svg("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), this.area);
    this.lines = names.map((_, n) => {
      const line = svg("path", { class: `line line${n % 4}` });
      this.svg.append(line);
      return line;
    });
    const caption = make("figcaption", {}, make("span", { class: "title" }, title), this.value);
    host.append(make("figure", { class: "chart" }, caption, make("div", { class: "plot" }, this.svg, this.top)));
  }

  /** The values of now, one for each line; null for none. */
  push(...values) {
    values.forEach((value, n) => {
      this.series[n].push(value);
      if (this.series[n].length > POINTS) this.series[n].shift();
    });
    values.forEach((value, n) => say(this.values[n], value === null ? "–" : this.format(value)));
    this.draw();
  }

  draw() {
    const all = this.series.flat().filter((value) => value !== null);
    const top = nice(Math.max(this.least, ...all));
    say(this.top, this.format(top));
    const x = (n, count) => WIDTH - ((count - 1 - n) * WIDTH) / (POINTS - 1);
    const y = (value) => HEIGHT - (value / top) * (HEIGHT - 2);
    this.series.forEach((values, line) => {
      let path = "";
      let pen = "M";
      values.forEach((value, n) => {
        if (value !== null) path += `${pen}${x(n, values.length).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = value === null ? "M" : "L";
      });
      this.lines[line].setAttribute("d", path);
      if (line === 0) this.fill(values, x, y);
    });
  }

  fill(values, x, y) {
    const first = values.findIndex((value) => value !== null);
    if (first < 0 || values.slice(first).includes(null)) return this.area.setAttribute("d", "");
    const points = values.slice(first).map((value, n) => `L${x(n + first, values.length).toFixed(1)} ${y(value).toFixed(1)}`);
    this.area.setAttribute("d", `M${x(first, values.length).toFixed(1)} ${HEIGHT}${points.join("")}L${WIDTH} ${HEIGHT}Z`);
  }
}

/** What the server's own charts show, on every page. */
export class Health {
  constructor(host) {
    this.host = host;
    this.shards = -1;
  }

  push(news, span, share, rate) {
    const shards = news.shards;
    if (shards.length !== this.shards) {
      this.shards = shards.length;
      this.host.replaceChildren();
      const names = shards.length === 1 ? [""] : shards.map((one) => `core ${one.shard}`);
      this.turn = new Chart(this.host, "Turn time", span, ["p50", "p99"], 1e4);
      this.load = new Chart(this.host, "Load", share, names, 0.01);
      this.traffic = new Chart(this.host, "Traffic", rate, ["in", "out"], 1e4);
    }
    const worst = (q) => {
      const known = shards.map((one) => one.turn_ns[q]).filter((value) => value !== null);
      return known.length === 0 ? null : Math.max(...known);
    };
    this.turn.push(worst("p50"), worst("p99"));
    this.load.push(...shards.map((one) => one.load));
    this.traffic.push(news.server.received_bytes_per_s, news.server.sent_bytes_per_s);
  }
}
