// Words and small pieces of a page: figures as people read them, elements, and
// command lines that can be copied.

const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

/** A span of nanoseconds; an en dash for none. */
export function span(ns) {
  if (ns === null || ns === undefined || !Number.isFinite(ns)) return "–";
  const size = Math.abs(ns);
  if (size === 0) return "0";
  if (size < 1e3) return `${ns.toFixed(0)} ns`;
  if (size < 1e6) return `${digits(ns / 1e3)} µs`;
  if (size < 1e9) return `${digits(ns / 1e6)} ms`;
  return `${digits(ns / 1e9)} s`;
}

/** Bytes a second, as bits: what encoders are set in. */
export function rate(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const bits = bytes * 8;
  if (bits < 1e3) return `${bits.toFixed(0)} bit/s`;
  if (bits < 1e6) return `${digits(bits / 1e3)} kbit/s`;
  if (bits < 1e9) return `${digits(bits / 1e6)} Mbit/s`;
  return `${digits(bits / 1e9)} Gbit/s`;
}

/** A share of one, as a percentage. */
export const share = (part) => (part === null || part === undefined ? "–" : `${digits(part * 100)} %`);

/** A number of things. */
export const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;

/** An element: tag, attributes, children; text is never read as HTML. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets an element's text if it is another one, so that nothing is read out twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A term and its value, for a list of figures; answers the value's element. */
export function fact(list, term, title = "") {
  const value = make("dd", {}, "–");
  const row = make("div", title ? { title } : {}, make("dt", {}, term), value);
  list.append(row);
  return value;
}

const word = (text) => (/^[\w./:@%+,=-]+$/.test(text) ? text : `'${text}'`);

/** Command lines that play a stream elsewhere: a label and a line each. */
export function playLines(name) {
  const url = word(`${location.protocol}//${location.host}/${name}.ts`);
  return [
    ["ffplay", `ffplay -fflags nobuffer -flags low_delay ${url}`],
    ["VLC", `vlc --network-caching=200 ${url}`],
    ["mpv", `mpv --profile=low-latency ${url}`],
    ["URL", url],
  ];
}

/** A list of command lines, each with a button that copies it. */
export function commands(lines) {
  const rows = lines.map(([label, line]) => {
    const code = make("code", { tabindex: "0" }, line);
    const button = make("button", { type: "button", "aria-label": `Copy the ${label} line` }, "Copy");
    button.addEventListener("click", () => copy(code, button));
    return make("li", {}, make("span", { class: "label" }, label), code, button);
  });
  return make("ul", { class: "commands" }, ...rows);
}

async function copy(code, button) {
  let done = false;
  try {
    await navigator.clipboard.writeText(code.textContent);
    done = true;
  } catch {
    // Not a secure context: browsers leave the older way.
    const range = document.createRange();
    range.selectNodeContents(code);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    done = document.execCommand("copy");
  }
  say(button, done ? "Copied" : "Press Ctrl-C");
  setTimeout(() => say(button, "Copy"), 2000);
}
