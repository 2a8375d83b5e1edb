// node check.mjs http://HOST:PORT NAME: opens the server's pages in Chromium and
// checks that they do what they say. What is wrong is said on standard error,
// with exit status 1. NAME is published as tests/peers/page.rs does it.

import { get } from "node:http";
import { Chromium } from "./chromium.mjs";

const [base, name] = process.argv.slice(2);
// Picture N is grey: 20 + N mod 200, as luma of the limited range.
const GREYS = 200;
const greyOf = (rgb) => Math.round(16 + (rgb * 219) / 255) - 20;
const hrtime = () => Number(process.hrtime.bigint() / 1000n);

/** When each picture was sent, in microseconds of CLOCK_MONOTONIC, by its number; read from the stream, beside the page. */
function sentTimes() {
  const times = new Map();
  const request = get(`${base}/${name}.ts`, (response) => {
    let held = Buffer.alloc(0);
    response.on("error", () => {});
    response.on("data", (bytes) => {
      held = Buffer.concat([held, bytes]);
      for (; held.length >= 188; held = held.subarray(188)) {
        if ((held.readUInt16BE(1) & 0x1fff) !== 0x1f00) continue;
        const text = held.toString("latin1", 4, 76);
        const [, seq, intended] = text.match(/^nlprobe1[0-9a-f]{16}([0-9a-f]{16})([0-9a-f]{16})/).map((digits) => BigInt(`0x${digits.slice(-16)}`));
        times.set(Number(seq), Number(intended / 1000n));
      }
    });
  });
  request.on("error", () => {});
  return { times, stop: () => request.destroy() };
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

function expect(what, is) {
  if (!is) throw new Error(what);
  console.log(`ok: ${what}`);
}

/** A look at the player: the grey of its picture, what it shows, what it counts. */
const LOOK = `(() => {
  const video = document.getElementById("video");
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 1, 1);
  return {
    rgb: context.getImageData(0, 0, 1, 1).data[0],
    shown: parseFloat(document.getElementById("delay").textContent),
    kind: document.getElementById("delay-kind").textContent,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    time: video.currentTime,
  };
})()`;

async function plays(page, sent) {
  const first = await page.ask(LOOK);
  const looks = [];
  for (let n = 0; n < 40; n++) {
    const before = hrtime();
    const look = await page.ask(LOOK);
    const now = (before + hrtime()) / 2;
    // Which of the pictures of this grey: the newest that has been sent.
    const newest = Math.max(...sent.times.keys());
    const seq = newest - ((((newest - greyOf(look.rgb)) % GREYS) + GREYS) % GREYS);
    if (sent.times.has(seq)) looks.push({ ...look, true: (now - sent.times.get(seq)) / 1000 });
    await new Promise((resolve) => setTimeout(resolve, 75));
  }
  const last = await page.ask(LOOK);
  expect(`frames are decoded: ${last.frames - first.frames}`, last.frames - first.frames > 40);
  expect(`the picture moves: ${(last.time - first.time).toFixed(2)} s`, last.time - first.time > 2);
  expect(`most pictures are known: ${looks.length}`, looks.length > 30);
  expect(`the delay is ${last.kind}`, last.kind === "measured by stamps in the stream");
  const [shown, truth] = [median(looks.map((look) => look.shown)), median(looks.map((look) => look.true))];
  expect(`it shows a delay of ${shown} ms, and it is ${truth.toFixed(0)} ms`, Math.abs(shown - truth) < 120);
  expect("that is below 1.5 s", shown > 0 && shown < 1500 && truth < 1500);
}

async function check(browser) {
  const list = await browser.open(`${base}/`);
  const link = `document.querySelector('a[href="/watch/${name}"]')`;
  await list.until("the stream is listed", `${link} !== null`, 10_000);
  await list.until("the server is drawn", "document.querySelectorAll('.chart path.line[d^=M]').length >= 3", 5_000);
  const sent = sentTimes();
  const page = await browser.open(`${base}/watch/${name}`);
  await page.until("it plays", "document.getElementById('video').currentTime > 1", 15_000);
  await page.until("it shows a delay", "document.getElementById('delay').textContent.endsWith('ms')", 5_000);
  await plays(page, sent);
  sent.stop();
  const hidden = "document.getElementById('message').hidden";
  expect("nothing stands before the picture", await page.ask(hidden));
  await page.ask("document.getElementById('mute').click()");
  expect("it can be heard", (await page.ask("document.getElementById('video').muted")) === false);
  const charts = await page.ask("[...document.querySelectorAll('#charts .value')].map((value) => value.textContent)");
  expect(`charts have values: ${charts.join(", ")}`, charts.length === 6 && charts.every((text) => /\d/.test(text)));
  const absent = await browser.open(`${base}/watch/none/such`);
  await absent.until("it says that there is no such stream", "document.body.innerText.includes('No stream “none/such” is live')", 5_000);
  const host = new URL(base).host;
  for (const one of [list, page, absent]) {
    expect(`no complaint: ${one.complaints.join("; ")}`, one.complaints.length === 0);
    const foreign = one.requests.filter((url) => !url.startsWith("data:") && !url.startsWith("blob:") && new URL(url).host !== host);
    expect(`no request elsewhere: ${foreign.join(" ")}`, foreign.length === 0 && one.requests.length > 3);
  }
}

const browser = new Chromium();
try {
  await check(browser);
} catch (why) {
  console.error(why.stack);
  process.exitCode = 1;
} finally {
  browser.close();
}
process.exit();
