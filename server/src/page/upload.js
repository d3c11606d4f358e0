
// Uploads what is dropped or chosen, by tus 1.0.0. Goes on by itself after a break, and where a page was closed: the
// address of an unfinished upload is kept under what tells its file, so that choosing the same file again resumes it.
(() => {
  const area = document.getElementById("upload");
  const find = (selector) => area.querySelector(selector);
  const exists = find("select"), summary = find("[role=status]"), list = find("#transfers"), cancelAll = find("#cancel");
  const SMALL = 1 << 20, AT_ONCE = 3, LONGEST_PAUSE = 30_000, STORE = "sounding-upload:";

  // Addresses, whatever prefix a proxy puts before them. In /share/KEY/ the key is in the address.
  const root = new URL("../".repeat(Number(area.dataset.depth)) || "./", location.href);
  const shared = root.pathname.match(/\/share\/([^/]+)\/$/)?.[1];
  const endpoint = new URL(shared ? "../../uploads" : "../uploads", root);
  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  const fields = { "Tus-Resumable": "1.0.0" };
  if (shared) fields.Authorization = `Basic ${base64(`:${decodeURIComponent(shared)}`)}`;

  const waiting = [];
  const running = new Set();
  const total = { files: 0, bytes: 0, done: 0, doneBytes: 0, there: 0, failed: 0 };

  // Names that the server does not serve, as it says itself. What has such a name in its path is left out: by its path as
  // far as that name, with the number of files.
  const [hiddenNames, servedNames] = [area.dataset.hidden, area.dataset.served].map((it) => it.split(" "));
  const isHidden = (name) => (name.startsWith(".") ? !servedNames.includes(name) : hiddenNames.includes(name));
  const leftOut = new Map(), MOST_NAMED = 20;
  const leaveOut = (path) => {
    const names = path.split("/"), end = names.findIndex(isHidden) + 1;
    if (end === 0) return false;
    const name = names.slice(0, end).join("/") + (end < names.length ? "/" : "");
    leftOut.set(name, (leftOut.get(name) ?? 0) + 1);
    return true;
  };
  const sayLeftOut = () => {
    const text = find("#left-out");
    const named = [...leftOut].slice(0, MOST_NAMED).map(([name, files]) => (files > 1 ? `${name} (${files} files)` : name));
    if (leftOut.size > MOST_NAMED) named.push(`and ${leftOut.size - MOST_NAMED} more`);
    text.textContent = `Left out, as the server does not serve such names: ${named.join(", ")}`;
    text.hidden = !leftOut.size;
  };

  // As the listing writes it.
  const size = (bytes) => {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let unit = 0;
    for (; bytes >= (unit ? 999.5 : 1024) && unit < 4; unit++) bytes /= 1024;
    return `${unit && bytes < 9.95 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
  };

  const say = () => {
    const busy = running.size + waiting.length > 0;
    const sent = [...running].reduce((sum, it) => sum + it.sent, total.doneBytes);
    const parts = [`${total.done} of ${total.files} files, ${size(sent)} of ${size(total.bytes)}`];
    if (total.there) parts.push(`${total.there} were there already`);
    if (total.failed) parts.push(`${total.failed} failed`);
    if (!busy && total.done) parts.push("reload the page to see them");
    summary.textContent = parts.join("; ");
    sayLeftOut();
    cancelAll.hidden = !busy;
    find("#all").hidden = !busy;
    find("#all").value = total.bytes ? sent / total.bytes : 1;
  };

  // One request. Resolves with its answer, also one that says no; rejects where there is none.
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
      const { type, title, detail } = JSON.parse(request.responseText);
      return { type: type.split(":").pop(), text: `${title}. ${detail}` };
    } catch {
      return { type: "", text: `The server answered ${request.status}` };
    }
  };

  class Refused extends Error {
    constructor(request) {
      const { type, text } = told(request);
      super(text);
      this.type = type;
      const again = [408, 423, 429, 460].includes(request.status) || request.status >= 500 && request.status !== 507;
      this.isFinal = !again && type !== "wrong-offset";
    }
  }

  class Transfer {
    constructor(file, path) {
      Object.assign(this, { file, path, sent: 0, offset: 0, tries: 0, isCancelled: false });
      this.store = STORE + JSON.stringify([area.dataset.into, path, file.size, file.lastModified]);
      this.address = localStorage.getItem(this.store);
    }

    // A row for those under way; what is done is only counted.
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
      cancel.addEventListener("click", () => this.cancel());
      this.row.append(name, this.bar, cancel, this.note);
      list.append(this.row);
    }

    show(sent) {
      this.sent = Math.min(sent, this.file.size);
      this.bar.value = this.file.size ? this.sent / this.file.size : 1;
      this.tries = 0;
      say();
    }

    async run() {
      this.begin();
      for (;;) {
        try {
          await this.send();
          total.done++;
          return this.end(true);
        } catch (error) {
          if (this.isCancelled) return this.end(true);
          if (error.type === "exists") {
            total.there++;
            return this.end(true);
          }
          if (error.isFinal) {
            total.failed++;
            this.note.textContent = error.message;
            return this.end(false);
          }
          const pause = Math.min(500 * 2 ** this.tries++, LONGEST_PAUSE);
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

    // How much has come. An upload that is not known any more begins anew.
    async resume() {
      const answer = await ask(this, "HEAD", this.address);
      if (answer.status === 200) {
        this.offset = Number(answer.getResponseHeader("Upload-Offset"));
        return this.show(this.offset);
      }
      if (![404, 409, 410].includes(answer.status)) throw new Refused(answer);
      this.forget();
      this.offset = 0;
    }

    // Whether that was all: a small file goes with the request that announces it.
    async create() {
      const pairs = { filename: this.path.split("/").pop(), relativePath: this.path, exists: exists.value };
      const metadata = Object.entries(pairs).map(([name, value]) => `${name} ${base64(value)}`).join(",");
      const more = { "Upload-Length": this.file.size, "Upload-Metadata": metadata };
      const isSmall = this.file.size <= SMALL;
      if (isSmall) more["Content-Type"] = "application/offset+octet-stream";
      const address = `${endpoint}?into=${area.dataset.into}`;
      const answer = await ask(this, "POST", address, more, isSmall ? this.file : undefined);
      if (answer.status !== 201) throw new Refused(answer);
      this.address = new URL(answer.getResponseHeader("Location"), endpoint).href;
      if (isSmall) return true;
      // Where storage is full or forbidden, uploads still go on as long as the page is open.
      try { localStorage.setItem(this.store, this.address); } catch {}
      return false;
    }

    forget() {
      localStorage.removeItem(this.store);
      this.address = null;
    }

    cancel() {
      this.isCancelled = true;
      this.request?.abort();
      total.files--;
      total.bytes -= this.file.size;
      if (this.address) ask(this, "DELETE", this.address).catch(() => {});
      dispatchEvent(new Event("online"));
    }

    end(isGone) {
      // One that failed can be gone on with when the cause is mended.
      if (!isGone) return this.row.querySelector("button").remove();
      if (!this.isCancelled) total.doneBytes += this.file.size;
      this.forget();
      this.row.remove();
    }
  }

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
    // Shows what has come, unless there is something to read here.
    if (!running.size && total.done && !total.failed && !total.there && !leftOut.size) location.reload();
  };

  const add = (files) => {
    for (const { file, path } of files) {
      if (leaveOut(path)) continue;
      total.files++;
      total.bytes += file.size;
      waiting.push(new Transfer(file, path));
    }
    next();
  };

  // Folders that are dropped are read to the end: a browser gives a hundred names at a time.
  const read = async (entry, above, into) => {
    const path = above + entry.name;
    if (entry.isFile) {
      into.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!entries.length) return;
      for (const it of entries) await read(it, `${path}/`, into);
    }
  };
  const dropped = async (transfer) => {
    // All at once: they are gone with the event.
    const entries = [...transfer.items].filter((it) => it.kind === "file").map((it) => it.webkitGetAsEntry?.() ?? it.getAsFile());
    const files = [];
    for (const it of entries.filter(Boolean)) {
      if (it instanceof File) files.push({ file: it, path: it.name });
      else await read(it, "", files);
    }
    return files;
  };

  for (const input of area.querySelectorAll("input")) {
    input.addEventListener("change", () => {
      add([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
      input.value = "";
    });
  }
  cancelAll.addEventListener("click", () => {
    for (const it of waiting.splice(0)) {
      total.files--;
      total.bytes -= it.file.size;
    }
    for (const it of [...running]) it.cancel();
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || area.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    dropped(event.dataTransfer).then(add, (error) => { summary.textContent = `Could not read what was dropped: ${error.message}`; });
  });
  addEventListener("beforeunload", (event) => running.size && event.preventDefault());
  area.hidden = false;
})();
