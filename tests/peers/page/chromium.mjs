// Drives a Chromium over a pair of pipes by the Chrome DevTools Protocol: JSON
// messages with a NUL behind each, in on descriptor 3 and out on 4
// (--remote-debugging-pipe). No package is needed but Node itself.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--autoplay-policy=no-user-gesture-required", "--remote-debugging-pipe",
];

export class Chromium {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "nearlight-chromium-"));
    this.child = spawn("chromium", [...FLAGS, `--user-data-dir=${this.folder}`, "about:blank"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      detached: true,
    });
    this.replies = new Map();
    this.listeners = [];
    this.count = 0;
    let held = Buffer.alloc(0);
    this.child.stdio[4].on("data", (bytes) => {
      held = Buffer.concat([held, bytes]);
      for (let end; (end = held.indexOf(0)) >= 0; held = held.subarray(end + 1)) {
        this.take(JSON.parse(held.subarray(0, end).toString()));
      }
    });
    this.child.stdio[3].on("error", () => {});
  }

  take(message) {
    const reply = this.replies.get(message.id);
    if (reply !== undefined) {
      this.replies.delete(message.id);
      return message.error ? reply.reject(new Error(message.error.message)) : reply.resolve(message.result);
    }
    for (const listener of this.listeners) listener(message);
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.count;
    this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.replies.set(id, { resolve, reject }));
  }

  /** Opens a page in a window of its own: in the background it would not play. */
  async open(url, prepare = async () => {}) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank", newWindow: true });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId);
    for (const domain of ["Page", "Runtime", "Log", "Network", "Audits"]) await page.send(`${domain}.enable`);
    await prepare(page);
    await page.send("Page.navigate", { url });
    await page.until("it is there", "location.href !== 'about:blank' && document.readyState === 'complete'", 10_000);
    return page;
  }

  close() {
    try {
      process.kill(-this.child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

/** One page, and what went wrong on it. */
export class Page {
  constructor(browser, session) {
    this.browser = browser;
    this.session = session;
    this.complaints = [];
    this.requests = [];
    browser.listeners.push((message) => message.sessionId === session && this.note(message));
  }

  note({ method, params }) {
    if (method === "Runtime.exceptionThrown") {
      const { text, exception } = params.exceptionDetails;
      this.complaints.push(`exception: ${text} ${exception?.description ?? ""}`);
    } else if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) {
      this.complaints.push(`console: ${params.args.map((one) => one.value ?? one.description).join(" ")}`);
    } else if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) {
      this.complaints.push(`log: ${params.entry.text} ${params.entry.url ?? ""}`);
    } else if (method === "Audits.issueAdded" && params.issue.code === "ContentSecurityPolicyIssue") {
      this.complaints.push(`policy: ${JSON.stringify(params.issue.details)}`);
    } else if (method === "Network.requestWillBeSent") {
      this.requests.push(params.request.url);
    } else if (method === "Network.webSocketCreated") {
      this.requests.push(params.url);
    }
  }

  send(method, params = {}) {
    return this.browser.send(method, params, this.session);
  }

  /** The value of an expression, awaited. */
  async ask(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression, awaitPromise: true, returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Asks until the answer is true. */
  async until(what, expression, limit) {
    const end = Date.now() + limit;
    while (!(await this.ask(expression))) {
      if (Date.now() > end) throw new Error(`in vain: ${what}; the page says: ${await this.ask("document.body.innerText")}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
