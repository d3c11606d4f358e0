// What `sounding.js` gives a web app. The server has both files, at /sounding.js and /sounding.d.ts.

/** A data service at an address such as `https://APP.fly.dev`. Asks for nothing yet. */
export function connect(base: string | URL, options?: ConnectOptions): Server;

export interface ConnectOptions {
  /** Without one only what lies in `public` can be had. */
  key?: string;
  /** Told `"waking the server…"` when that takes more than a second, and `""` when it is over: fit to be shown. */
  waking?: (text: string) => void;
}

/**
 * A data service, which may sleep when a request is made. Then the request waits until it is awake; what breaks on the
 * way is sent again. A path is that of a file or folder on the volume, as plain text: names are escaped here. A `URL`
 * that came from here does as well.
 */
export interface Server {
  /**
   * Resolves when the server is awake. However many wait, it is asked once. Every call below does this by itself where
   * it must; do it early where people will want something soon.
   */
  wake(options?: Cancellable): Promise<void>;

  /** Where a file is: for a `URL` that is passed on, or for a reader that sends its own requests with a key of its own. */
  url(path: Path): URL;

  /**
   * A file, or a part of it; resolves when its content begins to come, and rejects where the answer is no success or the path is a
   * folder's (`is-folder`), as the calls below do. Where
   * the line may break in the midst of it, take the calls below: they have all of it, or ask again.
   */
  fetch(path: Path, options?: FetchOptions): Promise<Response>;

  /** A file's bytes, or a part of them, as they lie on the volume. */
  bytes(path: Path, options?: FetchOptions): Promise<ArrayBuffer>;

  /** A text file, unpacked where its name ends in `.gz`. */
  text(path: Path, options?: FetchOptions): Promise<string>;

  /** A JSON file, unpacked where its name ends in `.gz`. */
  json<T = unknown>(path: Path, options?: FetchOptions): Promise<T>;

  /**
   * The rows of a table, by the names in its first line; unpacked where its name ends in `.gz`. Values stay text. The
   * separator is whichever of `,`, `;` and tab the first line has most of.
   */
  csv(path: Path, options?: FetchOptions): Promise<Record<string, string>[]>;

  /** All that is in a folder: folders first, in natural order. In one request, unless `limit` is given. */
  list(folder?: Path, options?: ListOptions): Promise<Entry[]>;

  /** The same, for folders of many entries: as they come, a page at a time. */
  entries(folder?: Path, options?: ListOptions): AsyncGenerator<Entry, void, undefined>;

  /**
   * Tells what changes on the volume; rejects where it can't go on, as when the key was taken away.
   *
   * The first that is told is `fresh`, unless `since` was given: list what is there then. After that each change is told
   * once, however often the server sleeps or the line breaks; where that can't be had, `fresh` is told again.
   *
   * It keeps no machine awake. It is silent while its tab is hidden and when the server has gone to sleep, goes on when
   * somebody looks or uses the page or when another call has woken the server, and then tells what was missed. Resolves when `signal` has ended it.
   */
  changes(tell: (change: Change | Fresh, cursor: string) => void, options?: ChangesOptions): Promise<void>;

  /**
   * Stores a file, which is visible when all of it is there. Goes on where it broke off: by itself while the page is open,
   * and after that when the same `File` is uploaded to the same place again, within a week.
   */
  upload(file: Blob, options?: UploadOptions): Promise<Uploaded>;
}

export type Path = string | URL;

export interface Cancellable {
  /** Gives up; the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface FetchOptions extends Omit<RequestInit, "body" | "signal">, Cancellable {
  method?: "GET" | "HEAD";
  /** The first byte and the last, which may be left out; or how many at the end: `[-100]`. */
  range?: readonly [first: number, last?: number];
}

export interface ListOptions extends Cancellable {
  /** How many entries are asked for at a time: 10 000 by `entries`, all by `list`, unless said otherwise. */
  limit?: number;
  /** Only names with this text in them. */
  filter?: string;
}

/** A file or folder in a listing: `entry.type` tells which. */
export type Entry = FileEntry | FolderEntry;

export interface FileEntry extends NamedEntry {
  type: "file";
  /** Bytes. */
  size: number;
  /** Changes whenever the file does. */
  etag: string;
}

export interface FolderEntry extends NamedEntry {
  type: "directory";
  size?: undefined;
  etag?: undefined;
}

/** What files and folders have. */
export interface NamedEntry {
  name: string;
  /** When it was last modified, as RFC 3339 has it. */
  mtime: string;
  /** For the calls above. */
  url: URL;
}

/** What happened to a file or folder. */
export interface Change {
  kind: "added" | "modified" | "moved" | "removed";
  path: string;
  /** Where it was before; of what was moved. */
  from?: string;
  type: "file" | "directory";
  /** Bytes; of a folded change, of all files together. */
  size?: number;
  mtime?: string;
  etag?: string;
  /** Of a folded change: how many files. */
  count?: number;
  /** When it was noticed. */
  time: string;
  /** Its place in the order. */
  seq: number;
  /** For the calls above. */
  url: URL;
}

/** Whatever is known of the volume may be out of date: list anew. */
export interface Fresh {
  kind: "fresh";
}

export interface ChangesOptions extends Cancellable {
  /** Only what lies in this folder. */
  path?: string;
  /** `folder`: a run that arrives is one change, told when nothing more has come for three seconds. */
  fold?: "folder";
  /** A cursor that was told before: go on behind it. */
  since?: string;
}

export interface UploadOptions extends Cancellable {
  /** Where it goes; with `/` at its end, into that folder under the file's own name. */
  path?: string;
  /** What becomes of a file that has the name already; `refuse` unless said otherwise. */
  exists?: "refuse" | "keep-both" | "replace";
  /** Told how much has come, every second or so. */
  progress?: (sent: number, size: number) => void;
}

export interface Uploaded {
  /** Where it is, which is another name than was asked for where both were kept. */
  url: URL;
}

/** The server said no, in the words of `message`; asking again does not help. Or, as `UnreachableError`, nobody said anything. */
export class SoundingError extends Error {
  constructor(message: string, more?: { status?: number; type?: string; cause?: unknown });
  /** The answer's status; 0 where there was none. */
  readonly status: number;
  /** A stable word for what is wrong, such as `no-room`; empty where the server did not say it. */
  readonly type: string;
}

/** 401 or 403: a key is needed, or another one. */
export class AccessError extends SoundingError {}

/** 404: nothing has this name. */
export class NotFoundError extends SoundingError {}

/** The server did not wake within a minute, or can't be reached at all. */
export class UnreachableError extends SoundingError {}
