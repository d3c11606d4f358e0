
// Uploads dropped or chosen files by tus 1.0.0. Resumes after an interruption, and after the page was closed: the URL of an unfinished
// upload is stored under the properties of its file, so that choosing the same file again resumes it.
(() => {
  const area = document.getElementById("upload");
  const find = (selector) => area.querySelector(selector);
  const exists = find("select"), summary = find("[role=status]"), list = find("#transfers"), cancelAll = find("#cancel"), again = find("#again");
  const SMALL = 1 << 20, AT_ONCE = 3, LONGEST_PAUSE = 30_000, STORE = "sounding-upload:";

  // URLs, whatever prefix a proxy adds. In /share/KEY/ the key is in the URL.
  const root = new URL("../".repeat(Number(area.dataset.depth)) || "./", document.baseURI);
  const shared = root.pathname.match(/\/share\/([^/]+)\/$/)?.[1];
  const endpoint = new URL(shared ? "../../uploads" : "../uploads", root);
  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  const fields = { "Tus-Resumable": "1.0.0" };
  if (shared) fields.Authorization = `Basic ${base64(`:${decodeURIComponent(shared)}`)}`;

  const waiting = [], failed = [];
  const running = new Set();
  const total = { files: 0, bytes: 0, done: 0, doneBytes: 0, there: 0, cancelled: 0 };
  // Number of folders being read, and why all uploads were stopped.
  let reading = 0, stopped = "";

  // Storage in the browser. If it is forbidden or full, uploads can be resumed as long as the page is open.
  const attempt = (what) => { try { return what(); } catch { return null; } };
  const kept = {
    get: (name) => attempt(() => localStorage.getItem(name)),
    set: (name, value) => attempt(() => localStorage.setItem(name, value)),
    remove: (name) => attempt(() => localStorage.removeItem(name)),
  };

  // What is not uploaded at all, by path with the number of files. It stays on the screen.
  const notes = {
    hidden: { said: "Left out, as the server does not serve such names", paths: new Map() },
    unread: { said: "Left out, as the browser could not read them", paths: new Map() },
    empty: { said: "Left out, as there is no file in them", paths: new Map() },
  };
  const MOST_NAMED = 20;
  const note = (kind, path) => notes[kind].paths.set(path, (notes[kind].paths.get(path) ?? 0) + 1);
  const hasNotes = () => Object.values(notes).some((it) => it.paths.size);
  const sayNotes = () => {
    const lines = Object.values(notes).filter((it) => it.paths.size).map(({ said, paths }) => {
      const named = [...paths].slice(0, MOST_NAMED).map(([path, files]) => (files > 1 ? `${path} (${files} files)` : path));
      if (paths.size > MOST_NAMED) named.push(`and ${paths.size - MOST_NAMED} more`);
      const line = document.createElement("p");
      line.textContent = `${said}: ${named.join(", ")}`;
      return line;
    });
    find("#left-out").replaceChildren(...lines);
  };

  // Names that the server does not serve, as the page says. A file with such a name in its path is skipped, and reported up to that name.
  const [hiddenNames, servedNames] = [area.dataset.hidden, area.dataset.served].map((it) => it.split(" "));
  const isHidden = (name) => (name.startsWith(".") ? !servedNames.includes(name) : hiddenNames.includes(name));
  const hiddenPart = (path) => {
    const names = path.split("/"), end = names.findIndex(isHidden) + 1;
    return end && names.slice(0, end).join("/") + (end < names.length ? "/" : "");
  };

  const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
  const say = () => {
    const busy = running.size + waiting.length + reading > 0;
    const sent = [...running].reduce((sum, it) => sum + it.sent, total.doneBytes);
    const parts = [];
    if (total.files) parts.push(`${total.done} of ${count(total.files, "file", "files")}, ${size(sent)} of ${size(total.bytes)}`);
    if (reading) parts.push("reading what was dropped");
    if (total.there) parts.push(count(total.there, "was there already", "were there already"));
    if (total.cancelled) parts.push(`${total.cancelled} cancelled`);
    if (failed.length) parts.push(`${failed.length} failed`);
    if (stopped) parts.push(`stopped: ${stopped}`);
    if (!busy && total.done) parts.push("reload the page to see them");
    summary.textContent = parts.join("; ");
    area.ariaBusy = String(busy);
    cancelAll.hidden = !busy;
    again.hidden = busy || !failed.length;
    find("#all").hidden = !busy;
    find("#all").value = total.bytes ? sent / total.bytes : 1;
  };

  // One request. Resolves with its response, whatever its status; rejects if there is none.
  const ask = (transfer, method, address, more, body) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    transfer.request = request;
    request.open(method, address);
    for (const [name, value] of Object.entries({ ...fields, ...more })) request.setRequestHeader(name, value);
    const begin = transfer.offset;
    if (body) request.upload.onprogress = (event) => transfer.show(begin + event.loaded);
    request.onload = () => resolve(request);
    request.onerror = request.onabort = request.ontimeout = () => reject(new Error("the line broke"));
    request.send(body ?? null);
  });

  const told = (request) => {
    try {
      const { type, detail } = JSON.parse(request.responseText);
      return { type: type.split(":").pop(), text: detail.replaceAll("`", "") };
    } catch {
      return { type: "", text: `The server answered ${request.status}` };
    }
  };

  // Problems that all other files would have too.
  const OF_ALL = ["key-needed", "unknown-key", "expired-key", "key-only-reads", "key-does-not-cover", "no-room", "volume-lost"];

  class Refused extends Error {
    constructor(request) {
      const { type, text } = told(request);
      // Not retried: the other window or program would be interrupted, and interrupt this one in turn.
      super(type === "taken-over" ? "Another window or program goes on with this upload" : text);
      this.type = type;
      this.pause = Number(request.getResponseHeader("Retry-After") ?? 0) * 1000;
      this.isOfAll = OF_ALL.includes(type);
      const again = [408, 429, 460].includes(request.status) || request.status >= 500 && request.status !== 507;
      this.isFinal = !again && type !== "wrong-offset";
    }
  }

  class Transfer {
    constructor(file, path) {
      Object.assign(this, { file, path, exists: exists.value, sent: 0, offset: 0, tries: 0, isCancelled: false });
      // Including what to do with an existing file: an upload that was to replace it must not be resumed when the file must stay.
      this.store = STORE + JSON.stringify([area.dataset.into, path, file.size, file.lastModified, this.exists]);
      this.address = kept.get(this.store);
    }

    // A row for a file in progress. Finished files are only counted.
    begin() {
      this.row = document.createElement("div");
      const name = document.createElement("span"), cancel = document.createElement("button");
      this.bar = document.createElement("progress");
      this.bar.value = 0;
      this.note = document.createElement("small");
      name.textContent = this.path;
      this.bar.setAttribute("aria-label", this.path);
      cancel.textContent = "Cancel";
      cancel.type = "button";
      cancel.setAttribute("aria-label", `Cancel ${this.path}`);
      cancel.addEventListener("click", () => this.cancel());
      this.row.append(name, this.bar, cancel, this.note);
      list.append(this.row);
    }

    show(sent) {
      this.sent = Math.min(sent, this.file.size);
      this.bar.value = this.file.size ? this.sent / this.file.size : 1;
      say();
    }

    async run() {
      this.begin();
      for (;;) {
        try {
          await this.send();
          total.done++;
          return this.end();
        } catch (error) {
          if (this.isCancelled) return this.end();
          if (error.type === "exists") {
            total.there++;
            return this.end();
          }
          if (error.isFinal) return this.fail(error.message, error.isOfAll);
          if (!await this.isReadable()) return this.fail("The file was changed, moved or removed since it was chosen: choose it again");
          const pause = Math.max(Math.min(500 * 2 ** this.tries++, LONGEST_PAUSE), error.pause ?? 0);
          this.note.textContent = `${error.message}; trying again`;
          await new Promise((resolve) => {
            const timer = setTimeout(resolve, pause);
            addEventListener("online", () => { clearTimeout(timer); resolve(); }, { once: true });
          });
          this.note.textContent = "";
        }
      }
    }

    async send() {
      if (this.isCancelled) throw new Error("cancelled");
      if (this.address) await this.resume();
      if (!this.address && await this.create()) return;
      const stream = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": this.offset };
      const answer = await ask(this, "PATCH", this.address, stream, this.file.slice(this.offset));
      if (answer.status !== 204) throw new Refused(answer);
    }

    // Asks for the offset. An upload that is unknown by now starts again.
    async resume() {
      const answer = await ask(this, "HEAD", this.address);
      if (answer.status === 200) {
        const offset = Number(answer.getResponseHeader("Upload-Offset"));
        if (offset > this.offset) this.tries = 0;
        this.offset = offset;
        return this.show(offset);
      }
      if (![404, 409, 410].includes(answer.status)) throw new Refused(answer);
      this.forget();
      this.offset = 0;
    }

    // Returns whether that was all: a small file is sent with the request that creates the upload. Not so with `keep-both`: if the response
    // were lost, a retry would store the file twice.
    async create() {
      const pairs = { filename: this.path.split("/").pop(), relativePath: this.path, exists: this.exists };
      const metadata = Object.entries(pairs).map(([name, value]) => `${name} ${base64(value)}`).join(",");
      const more = { "Upload-Length": this.file.size, "Upload-Metadata": metadata };
      const isSmall = this.file.size <= SMALL && this.exists !== "keep-both";
      if (isSmall) more["Content-Type"] = "application/offset+octet-stream";
      const address = `${endpoint}?into=${area.dataset.into}`;
      const answer = await ask(this, "POST", address, more, isSmall ? this.file : undefined);
      if (answer.status !== 201) throw new Refused(answer);
      this.address = new URL(answer.getResponseHeader("Location"), endpoint).href;
      if (isSmall) return true;
      kept.set(this.store, this.address);
      return false;
    }

    // A browser reads a file only if it has not changed since it was chosen.
    isReadable() {
      return this.file.slice(this.offset, this.offset + 1).arrayBuffer().then(() => true, () => false);
    }

    forget() {
      kept.remove(this.store);
      this.address = null;
    }

    cancel() {
      if (this.isCancelled) return;
      this.isCancelled = true;
      this.request?.abort();
      uncount(this);
      if (this.address) ask(this, "DELETE", this.address).catch(() => {});
      dispatchEvent(new Event("online"));
    }

    // The file is stored, exists already, or was cancelled.
    end() {
      if (!this.isCancelled) total.doneBytes += this.file.size;
      this.forget();
      this.row.remove();
    }

    // It can be resumed when the cause is fixed.
    fail(why, isOfAll) {
      failed.push(this);
      this.note.textContent = why;
      this.row.querySelector("button").remove();
      if (failed.length > MOST_NAMED) this.row.remove();
      if (!isOfAll) return;
      stopped = why;
      failed.push(...waiting.splice(0));
    }
  }

  const uncount = (transfer) => {
    total.files--;
    total.bytes -= transfer.file.size;
    total.cancelled++;
  };

  const next = () => {
    while (running.size < AT_ONCE && waiting.length) {
      const transfer = waiting.shift();
      running.add(transfer);
      transfer.run().finally(() => {
        running.delete(transfer);
        next();
      });
    }
    say();
    // Shows the uploaded files, unless there is a message to read here.
    if (!running.size && !reading && total.done && !total.there && !failed.length && !hasNotes()) location.reload();
  };

  const add = (files) => {
    for (const { file, path } of files) {
      const hidden = hiddenPart(path);
      if (hidden) {
        note("hidden", hidden);
        continue;
      }
      total.files++;
      total.bytes += file.size;
      waiting.push(new Transfer(file, path));
    }
    sayNotes();
    next();
  };

  // Reads dropped folders to the end: a browser returns a hundred names at a time. What cannot be read is reported, and the rest is
  // uploaded.
  const read = async (entry, above, into) => {
    const path = above + entry.name;
    if (isHidden(entry.name)) return note("hidden", entry.isFile ? path : `${path}/`);
    try {
      if (entry.isFile) {
        into.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path });
        return;
      }
      const reader = entry.createReader();
      for (let isEmpty = true; ; isEmpty = false) {
        const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!entries.length) return isEmpty && note("empty", `${path}/`);
        for (const it of entries) await read(it, `${path}/`, into);
      }
    } catch {
      note("unread", path);
    }
  };
  const dropped = async (transfer) => {
    // All at once: after the event, they are not accessible any more.
    const entries = [...transfer.items].filter((it) => it.kind === "file").map((it) => it.webkitGetAsEntry?.() ?? it.getAsFile());
    const files = [];
    reading++;
    say();
    for (const it of entries.filter(Boolean)) {
      if (it instanceof File) files.push({ file: it, path: it.name });
      else await read(it, "", files);
    }
    reading--;
    add(files);
  };

  for (const input of area.querySelectorAll("input")) {
    input.addEventListener("change", () => {
      add([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
      input.value = "";
    });
  }
  cancelAll.addEventListener("click", () => {
    for (const it of waiting.splice(0)) uncount(it);
    for (const it of [...running]) it.cancel();
    say();
  });
  again.addEventListener("click", () => {
    stopped = "";
    for (const it of failed.splice(0)) {
      it.row?.remove();
      it.tries = 0;
      waiting.push(it);
    }
    next();
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || area.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    dropped(event.dataTransfer);
  });
  addEventListener("beforeunload", (event) => running.size + reading && event.preventDefault());
  area.hidden = false;
})();
