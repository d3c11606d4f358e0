// @ts-check
// Files, listings, changes and uploads of a Sounding Board data service, for web apps. `sounding.d.ts` beside this file
// documents each call.
//
// The service sleeps when it is not needed, and the first request wakes it. A browser sees that as a long wait, or as a 502
// of the gateway; and since gateways send no CORS fields, as a request that "failed to fetch", like a lost connection. So
// one rule holds for all calls: a request that failed in such a way is sent again when the server is known to be awake. Only
// requests that may be sent twice are sent. A response of the server itself is final.

/** @import * as api from "./sounding.d.ts" */

/** Time-outs in milliseconds: until a response begins, and for sending a chunk of an upload. */
const PATIENCE = 15_000, UPLOADING = 60_000;
/**
 * Milliseconds of silence after which a stream of changes counts as dead. The server sends a heartbeat every 15 seconds,
 * except while it waits for a folder to arrive completely, for a minute at most.
 */
const SILENCE = 75_000;
/** Milliseconds after which a call gives up waking the server. */
const BUDGET = 60_000;
/** Milliseconds after which waking is reported to the user. */
const LONG = 1_000;
/** Milliseconds after which a response no longer proves that the server is awake: then it is woken first, by one request. */
const STALE = 60_000;
/** Entries per page, for callers that want them page by page. */
const PAGE = 10_000;
/** Attempts in a row without progress. */
const TRIES = 5;
/** Bytes per chunk of an upload: about as many as take a second. Gateways can repeat 10 MB when the server is asleep. */
const SMALLEST = 1 << 16, FIRST = 1 << 18, LARGEST = 8 << 20;
/** Statuses that a gateway sends in place of the server. */
const GATEWAY = [502, 503, 504];
const TUS = { "Tus-Resumable": "1.0.0" };

export class SoundingError extends Error {
  /** @param {string} message @param {{ status?: number, type?: string, cause?: unknown }} [more] */
  constructor(message, { status = 0, type = "", cause } = {}) {
    super(message, { cause });
    this.name = new.target.name;
    this.status = status;
    this.type = type;
  }
}
export class AccessError extends SoundingError {}
export class NotFoundError extends SoundingError {}
export class UnreachableError extends SoundingError {}

/** @type {typeof api.connect} */
export const connect = (base, options) => new Server(base, options);

/** @implements {api.Server} */
class Server {
  #base;
  #authorization;
  #say;
  /** When the last response arrived. */
  #heard = -Infinity;
  /** @type {Promise<void> | undefined} The wake-up in progress, shared by all calls that need it. */
  #waking;
  /** Gets an event when a call other than `changes` has had a response. */
  #used = new EventTarget();

  /** @param {string | URL} base @param {api.ConnectOptions} [options] */
  constructor(base, { key, waking = () => {} } = {}) {
    this.#base = new URL(base);
    if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
    // As a password, because a key may contain any characters.
    this.#authorization = key && `Basic ${base64(`:${key}`)}`;
    this.#say = waking;
  }

  // ---- Waking ----

  /** @param {api.Cancellable} [options] */
  async wake({ signal } = {}) {
    await this.#awake(signal);
    this.#tellUsed();
  }

  /** @param {AbortSignal | null} [signal] */
  #awake(signal) {
    this.#waking ??= this.#rouse().finally(() => { this.#waking = undefined; });
    return unlessAborted(this.#waking, signal);
  }

  async #rouse() {
    // `performance.now` does not advance while the computer sleeps.
    const end = performance.now() + BUDGET;
    let isSaid = false, cause;
    const slow = setTimeout(() => {
      isSaid = true;
      this.#say("waking the server…");
    }, LONG);
    try {
      for (let tries = 0; ; tries++) {
        let pause = backoff(tries);
        try {
          // Without header fields of our own, so that no preflight is needed.
          const answer = await attempt(this.#at("health"), { cache: "no-store" }, Math.min(PATIENCE, end - performance.now()));
          await answer.body?.cancel();
          if (answer.ok) {
            this.#heard = Date.now();
            return;
          }
          if (![...GATEWAY, 429].includes(answer.status)) throw await refusal(answer);
          pause = retryAfter(answer) ?? pause;
          cause = answer.status;
        } catch (error) {
          if (!isBreak(error)) throw error;
          cause = error;
        }
        if (performance.now() + pause >= end) throw new UnreachableError("The server did not wake up. Is its address right, and are you online?", { cause });
        await after(pause);
      }
    } finally {
      clearTimeout(slow);
      if (isSaid) this.#say("");
    }
  }

  /**
   * Sends a request that may be sent twice, until the server has responded and the response has been read.
   * @template T
   * @param {URL} url
   * @param {RequestInit} init
   * @param {(answer: Response) => T | Promise<T>} read
   * @param {number} [patience]
   * @returns {Promise<T>}
   */
  async #ask(url, init, read, patience) {
    const request = this.#withKey(init);
    for (let tries = 1; ; tries++) {
      if (this.#isStale()) await this.#awake(init.signal);
      /** @type {unknown} */
      let trouble;
      try {
        const answer = await attempt(url, request, patience);
        if (!GATEWAY.includes(answer.status)) {
          this.#heard = Date.now();
          return await read(await good(answer));
        }
        trouble = await refusal(answer);
      } catch (error) {
        if (!isBreak(error) || init.signal?.aborted) throw error;
        trouble = new UnreachableError("The server is awake, but the request does not get through.", { cause: error });
      }
      if (tries === TRIES) throw trouble;
      if (tries > 1) await after(backoff(tries), init.signal);
      this.#heard = -Infinity;
    }
  }

  /**
   * The same for a call that uses the server: a waiting `changes` is told, and reconnects.
   * @template T
   * @param {URL} url
   * @param {RequestInit} init
   * @param {(answer: Response) => T | Promise<T>} read
   * @returns {Promise<T>}
   */
  async #use(url, init, read) {
    const answer = await this.#ask(url, init, read);
    this.#tellUsed();
    return answer;
  }

  #tellUsed() {
    this.#used.dispatchEvent(new Event("used"));
  }

  #isStale() {
    return Date.now() - this.#heard > STALE;
  }

  /** @param {RequestInit} init */
  #withKey(init) {
    const headers = new Headers(init.headers);
    if (this.#authorization) headers.set("Authorization", this.#authorization);
    return { ...init, headers };
  }

  // ---- Addresses ----

  /** @param {string} address */
  #at(address) {
    return new URL(address, this.#base);
  }

  /** @param {api.Path} path */
  url(path) {
    const names = String(path).split("/").filter((name, at) => name || at).map(encodeURIComponent);
    const url = path instanceof URL ? path : this.#at(`files/${names.join("/")}`);
    // The key is never sent to another server, and `..` cannot leave `files/`.
    if (!url.href.startsWith(this.#at("files/").href)) throw new TypeError(`${path} is no path on this server.`);
    return url;
  }

  /** @param {api.Path} path */
  #folder(path) {
    const url = new URL(this.url(path));
    if (!url.pathname.endsWith("/")) url.pathname += "/";
    return url;
  }

  // ---- Files ----

  /** @param {api.Path} path @param {api.FetchOptions} [options] */
  fetch(path, options) {
    return this.#get(path, options, (answer) => answer);
  }

  /** @param {api.Path} path @param {api.FetchOptions} [options] */
  bytes(path, options) {
    return this.#get(path, options, (answer) => answer.arrayBuffer());
  }

  /** @param {api.Path} path @param {api.FetchOptions} [options] */
  async text(path, options) {
    const content = await this.#get(path, options, (answer) => answer.blob());
    const isPacked = /\.gz$/i.test(this.url(path).pathname);
    return isPacked ? new Response(content.stream().pipeThrough(new DecompressionStream("gzip"))).text() : content.text();
  }

  /** @param {api.Path} path @param {api.FetchOptions} [options] */
  async json(path, options) {
    return JSON.parse(await this.text(path, options));
  }

  /** @param {api.Path} path @param {api.FetchOptions} [options] */
  async csv(path, options) {
    const [names = [], ...rows] = table(await this.text(path, options));
    return rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? ""])));
  }

  /**
   * @template T
   * @param {api.Path} path
   * @param {api.FetchOptions | undefined} options
   * @param {(answer: Response) => T | Promise<T>} read
   */
  async #get(path, { range, ...init } = {}, read) {
    if (!["GET", "HEAD"].includes(init.method ?? "GET")) throw new TypeError("fetch() only reads; upload() writes.");
    const headers = new Headers(init.headers);
    if (range) {
      const [first, last = ""] = range;
      headers.set("Range", first < 0 ? `bytes=${first}` : `bytes=${first}-${last}`);
      // A cache with another version could return parts that do not fit together.
      init.cache ??= "no-store";
    }
    return this.#use(this.url(path), { ...init, headers }, (answer) => {
      // The response would be a page for people. With or without a slash in the request, a folder's final URL ends in one.
      if ((answer.url || this.url(path).href).replace(/[?#].*/, "").endsWith("/")) {
        void answer.body?.cancel();
        throw new SoundingError(`${path} is a folder: list() or entries() tell what is in it.`, { status: 409, type: "is-folder" });
      }
      return read(answer);
    });
  }

  // ---- Folders ----

  /** @param {api.Path} [folder] @param {api.ListOptions} [options] */
  async list(folder, options) {
    const all = [];
    // The server reads and sorts the folder again for each page. So everything is requested at once, unless the caller wants pages.
    for await (const entry of this.#pages(folder, options)) all.push(entry);
    return all;
  }

  /**
   * @param {api.Path} [folder]
   * @param {api.ListOptions} [options]
   */
  entries(folder, options) {
    return this.#pages(folder, { limit: PAGE, ...options });
  }

  /**
   * @param {api.Path} [folder]
   * @param {api.ListOptions} [options]
   * @returns {AsyncGenerator<api.Entry, void, undefined>}
   */
  async *#pages(folder = "", { limit, filter, signal } = {}) {
    const url = this.#folder(folder);
    /** @type {URL | undefined} */
    let page = withQuery(url, { format: "json", limit, filter });
    while (page) {
      /** @type {Awaited<ReturnType<typeof pageOf>>} */
      const { rows, next } = await this.#use(page, { signal, cache: "no-store" }, pageOf);
      for (const { href, ...row } of rows) {
        const address = href ?? `${encodeURIComponent(row.name)}${row.type === "directory" ? "/" : ""}`;
        yield { ...row, url: new URL(`./${address}`, url) };
      }
      page = next === undefined ? undefined : new URL(next, page);
    }
  }

  // ---- Changes ----

  /**
   * @param {Parameters<api.Server["changes"]>[0]} tell
   * @param {api.ChangesOptions} [options]
   */
  async changes(tell, { path, fold, since, signal } = {}) {
    const place = { url: withQuery(this.#at("events"), { path, fold }), cursor: since };
    try {
      for (let breaks = 0; ;) {
        while (isHidden()) await happens(document, ["visibilitychange"], signal);
        const before = place.cursor;
        const end = await this.#follow(place, tell, signal);
        if (place.cursor !== before) breaks = 0;
        if (end === "hidden") continue;
        // A stream that breaks again and again is treated like a sleeping server: reconnecting would wake the server for nobody.
        if (end === "sleep" || ++breaks > TRIES) {
          await this.#untilWanted(signal);
          breaks = 0;
        } else {
          await after(backoff(breaks), signal);
        }
      }
    } catch (error) {
      if (!signal?.aborted) throw error;
    }
  }

  /**
   * Reads the stream to its end, and returns how it ended.
   * @param {{ url: URL, cursor?: string }} place
   * @param {Parameters<api.Server["changes"]>[0]} tell
   * @param {AbortSignal} [signal]
   * @returns {Promise<"sleep" | "break" | "hidden">}
   */
  async #follow(place, tell, signal) {
    const stop = new AbortController();
    const hide = () => isHidden() && stop.abort("hidden");
    globalThis.document?.addEventListener("visibilitychange", hide);
    let silence = setTimeout(() => {});
    /** @type {(api.Change | api.Fresh)[]} */
    const untold = place.cursor === undefined ? [{ kind: "fresh" }] : [];
    try {
      /** @type {Record<string, string>} */
      const headers = place.cursor === undefined ? {} : { "Last-Event-ID": place.cursor };
      const request = { headers, signal: either(signal, stop.signal) };
      const answer = await this.#ask(place.url, request, (it) => it, SILENCE);
      const reader = /** @type {ReadableStream} */ (answer.body).pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; ;) {
        clearTimeout(silence);
        silence = setTimeout(() => stop.abort("break"), SILENCE);
        const { done, value } = await reader.read();
        if (done) return "break";
        const events = (text + value).split("\n\n");
        text = events.pop() ?? "";
        for (const { event, id, data } of events.map(fieldsOf)) {
          if (event === "fresh") untold.push({ kind: "fresh" });
          if (event === "change" && data) untold.push(this.#change(JSON.parse(data)));
          // The stream can be resumed after an `id`. So the changes before it are reported now, and never twice.
          if (id) {
            place.cursor = id;
            for (const change of untold.splice(0)) queueMicrotask(() => signal?.aborted || tell(change, id));
          }
          if (event === "sleep") return "sleep";
        }
        // Browsers don't always report it by an event.
        if (isHidden()) return "hidden";
      }
    } catch (error) {
      if (signal?.aborted) throw error;
      if (stop.signal.aborted) return stop.signal.reason;
      if (isBreak(error)) return "break";
      if (error instanceof UnreachableError || error instanceof SoundingError && GATEWAY.includes(error.status)) return "sleep";
      throw error;
    } finally {
      clearTimeout(silence);
      globalThis.document?.removeEventListener("visibilitychange", hide);
      stop.abort("break");
    }
  }

  /** @param {Omit<api.Change, "url"> & { href?: string }} row */
  #change({ href, ...row }) {
    return { ...row, url: href === undefined ? this.url(row.path) : this.#at(`files/${href}`) };
  }

  /**
   * Waits until somebody looks at the page or uses it, or another call has had a response.
   * @param {AbortSignal} [signal]
   */
  async #untilWanted(signal) {
    const over = new AbortController();
    const all = either(signal, over.signal);
    const page = happens(globalThis.document, ["visibilitychange", "pointerdown", "pointermove", "keydown"], all);
    await Promise.race([page, happens(this.#used, ["used"], all)]).finally(() => over.abort());
  }

  // ---- Uploads ----

  /** @param {Blob} file @param {api.UploadOptions} [options] */
  async upload(file, { path = "", exists = "refuse", progress = () => {}, signal } = {}) {
    const target = !path || path.endsWith("/") ? path + nameOf(file) : path;
    if (!target || target.endsWith("/")) throw new TypeError("This Blob has no name of its own: put one at the end of `path`.");
    const memory = memoryOf(file, [this.#base, target, exists]);
    const known = memory.get();
    let upload = known && await this.#look(new URL(known), signal) || await this.#begin(file, target, exists, signal);
    memory.set(upload.address.href);
    for (let size = FIRST, tries = 0; upload.offset < file.size;) {
      progress(upload.offset, file.size);
      const [began, before] = [Date.now(), upload.offset];
      upload = await this.#send(upload, file.slice(before, before + size), signal);
      const took = Date.now() - began;
      if (took < 1_000) size = Math.min(size * 2, LARGEST);
      if (took > 3_000) size = Math.max(size / 2, SMALLEST);
      tries = upload.offset > before ? 0 : tries + 1;
      if (tries > TRIES) throw new UnreachableError("The upload does not get on. Upload the same file again to go on with it.");
      if (tries) await after(backoff(tries), signal);
    }
    progress(file.size, file.size);
    memory.clear();
    return { url: upload.url ?? this.url(target) };
  }

  /**
   * Creates an upload, without bytes. So if the response is lost, all that remains is an empty upload, which expires.
   * @param {Blob} file @param {string} target @param {string} exists @param {AbortSignal} [signal]
   */
  #begin(file, target, exists, signal) {
    const url = this.#at("uploads");
    const metadata = `relativePath ${base64(target)},exists ${base64(exists)}`;
    const headers = { ...TUS, "Upload-Length": `${file.size}`, "Upload-Metadata": metadata };
    return this.#use(url, { method: "POST", headers, signal }, (answer) => {
      return this.#stand(new URL(answer.headers.get("Location") ?? "", url), answer);
    });
  }

  /**
   * The offset of an upload. `undefined` if the server does not know it any more.
   * @param {URL} address @param {AbortSignal} [signal]
   */
  async #look(address, signal) {
    try {
      const init = { method: "HEAD", headers: TUS, signal, cache: /** @type {const} */ ("no-store") };
      return await this.#use(address, init, (answer) => this.#stand(address, answer));
    } catch (error) {
      if (error instanceof SoundingError && [404, 410].includes(error.status)) return undefined;
      throw error;
    }
  }

  /**
   * Sends the next bytes, once. If that breaks off, asks the server how many have arrived.
   * @param {{ address: URL, offset: number }} upload @param {Blob} chunk @param {AbortSignal} [signal]
   */
  async #send({ address, offset }, chunk, signal) {
    const headers = { ...TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": `${offset}` };
    try {
      if (this.#isStale()) await this.#awake(signal);
      const request = this.#withKey({ method: "PATCH", headers, body: chunk, signal });
      const answer = await attempt(address, request, UPLOADING);
      if (answer.ok) {
        this.#heard = Date.now();
        return this.#stand(address, answer);
      }
      const trouble = await refusal(answer);
      const goesOn = [...GATEWAY, 408, 423].includes(trouble.status) || trouble.type === "wrong-offset";
      if (!goesOn) throw trouble;
    } catch (error) {
      if (!isBreak(error) || signal?.aborted) throw error;
    }
    this.#heard = -Infinity;
    const upload = await this.#look(address, signal);
    if (!upload) throw new NotFoundError("The server does not know this upload any more. Begin it again.", { status: 404 });
    return upload;
  }

  /** @param {URL} address @param {Response} answer */
  #stand(address, answer) {
    const place = answer.headers.get("Content-Location");
    return {
      address,
      offset: Number(answer.headers.get("Upload-Offset") ?? 0),
      url: place === null ? undefined : this.#at(place.replace(/^\//, "")),
    };
  }
}

// ---- Requests ----

/**
 * One request. The time-out ends when the response begins; its body may take longer.
 * @param {URL} url @param {RequestInit} init
 */
async function attempt(url, init, patience = PATIENCE) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new DOMException("No answer came.", "TimeoutError")), patience);
  try {
    return await fetch(url, { credentials: "omit", ...init, signal: either(init.signal, late.signal) });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Whether the response is missing or incomplete: the connection was lost, or a gateway responded in a way that a page can't read.
 * @param {any} error
 */
function isBreak(error) {
  return error instanceof TypeError || error?.name === "TimeoutError";
}

/** @param {Response} answer */
async function good(answer) {
  if (answer.ok || answer.status === 304) return answer;
  throw await refusal(answer);
}

/**
 * The error of a response that is not a success, in the server's words if it has any.
 * @param {Response} answer
 */
async function refusal(answer) {
  const { detail, type } = await answer.json().catch(() => ({})) ?? {};
  const message = detail ?? `The server answered with status ${answer.status}.`;
  const more = { status: answer.status, type: String(type ?? "").replace(/^.*:/, "") };
  if ([401, 403].includes(answer.status)) return new AccessError(message, more);
  if (answer.status === 404) return new NotFoundError(message, more);
  return new SoundingError(message, more);
}

/**
 * `Retry-After`, which is seconds or a date, in milliseconds.
 * @param {Response} answer
 */
function retryAfter(answer) {
  const text = answer.headers.get("Retry-After");
  if (!text) return undefined;
  const pause = Number.isNaN(Number(text)) ? Date.parse(text) - Date.now() : Number(text) * 1000;
  return Number.isNaN(pause) ? undefined : Math.max(pause, 0);
}

/**
 * The entries on a page of a listing, and the address of the next page.
 * @param {Response} answer
 * @returns {Promise<{ rows: any[], next?: string }>}
 */
async function pageOf(answer) {
  const [, next] = /<([^>]*)>; rel="next"/.exec(answer.headers.get("Link") ?? "") ?? [];
  return { rows: await answer.json(), next };
}

/**
 * The fields of a server-sent event.
 * @param {string} text
 * @returns {Record<string, string | undefined>}
 */
function fieldsOf(text) {
  return Object.fromEntries(text.split("\n").map((line) => /^([^:]*):? ?(.*)$/.exec(line)?.slice(1) ?? []));
}

/** @param {URL} url @param {Record<string, unknown>} parameters */
function withQuery(url, parameters) {
  const result = new URL(url);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) result.searchParams.set(name, String(value));
  }
  return result;
}

/** @param {string} text */
function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

// ---- Waiting ----

/** Milliseconds to wait before the next attempt. Random, so that pages that failed together don't retry together. */
const backoff = (/** @type {number} */ tries) => Math.min(500 * 2 ** tries, 4_000) * (0.75 + Math.random() / 2);

/** @param {number} millis @param {AbortSignal | null} [signal] */
function after(millis, signal) {
  return unlessAborted(new Promise((resolve) => setTimeout(resolve, millis)), signal);
}

const isHidden = () => globalThis.document?.visibilityState === "hidden";

/** @param {EventTarget | undefined} target @param {string[]} names @param {AbortSignal} [signal] */
function happens(target, names, signal) {
  const over = new AbortController();
  const event = new Promise((resolve) => {
    for (const name of names) target?.addEventListener(name, resolve, { signal: over.signal, passive: true });
  });
  return unlessAborted(event, signal).finally(() => over.abort());
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<T>}
 */
async function unlessAborted(promise, signal) {
  if (!signal) return promise;
  const over = new AbortController();
  const aborted = new Promise((_, reject) => {
    const end = () => reject(signal.reason);
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { signal: over.signal });
  });
  return /** @type {Promise<T>} */ (Promise.race([promise, aborted])).finally(() => over.abort());
}

/** @param {AbortSignal | null | undefined} one @param {AbortSignal} other */
function either(one, other) {
  return one ? AbortSignal.any([one, other]) : other;
}

// ---- Files ----

/** @param {Blob} file */
function nameOf(file) {
  return "name" in file ? String(file.name) : "";
}

/**
 * The URL of an unfinished upload, stored in case the page is closed. If nothing can be stored, uploads can be resumed as
 * long as the page is open.
 * @param {Blob} file @param {unknown[]} place
 */
function memoryOf(file, place) {
  const key = `sounding:${JSON.stringify([...place, file.size, "lastModified" in file && file.lastModified])}`;
  const use = (/** @type {(storage: Storage) => string | null | void} */ how) => {
    try {
      return "lastModified" in file ? how(localStorage) : null;
    } catch {
      return null;
    }
  };
  return {
    get: () => use((it) => it.getItem(key)),
    set: (/** @type {string} */ address) => use((it) => it.setItem(key, address)),
    clear: () => use((it) => it.removeItem(key)),
  };
}

/**
 * The fields of each line (RFC 4180). A quotation mark at an invalid position is an ordinary character.
 * @param {string} text
 */
function table(text) {
  const first = text.slice(0, text.search(/[\r\n]|$/)).replace(/"[^"]*"/g, "");
  const [separator] = [",", ";", "\t"].sort((a, b) => first.split(b).length - first.split(a).length);
  const field = new RegExp(`(?:"([^"]*(?:""[^"]*)*)"|([^${separator}\r\n]*))(${separator}|\r?\n|\r|$)`, "gy");
  /** @type {string[][]} */
  const rows = [];
  /** @type {string[]} */
  let row = [];
  for (const [, quoted, plain, end] of text.matchAll(field)) {
    row.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === separator) continue;
    // Skips empty lines, and the empty rest after the last line.
    if (row.length > 1 || row[0]) rows.push(row);
    row = [];
  }
  return rows;
}
