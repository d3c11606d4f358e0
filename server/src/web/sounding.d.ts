// The types and documentation of `sounding.js`. The server has both files, at /sounding.js and /sounding.d.ts.

/** A data service at a URL such as `https://APP.fly.dev`. Sends no request yet. */
export function connect(base: string | URL, options?: ConnectOptions): Server;

export interface ConnectOptions {
  /** Without a key, only the folder `public` is accessible. */
  key?: string;
  /** Called with a text to show: `"waking the server…"` when waking takes more than a second, and `""` when it has finished. */
  waking?: (text: string) => void;
}

/**
 * A data service, which may be asleep. Every call waits for the server to wake and retries for up to a minute, then
 * rejects with `UnreachableError`. A path is that of a file or folder on the volume, as plain text: names are escaped
 * here. A `URL` returned by a call is accepted too.
 */
export interface Server {
  /**
   * Resolves when the server is awake. All waiting calls share one wake-up. Every call below does this itself if needed;
   * call it early if people will need the server soon.
   */
  wake(options?: Cancellable): Promise<void>;

  /** The URL of a file: to pass it on, or for a reader that sends its own requests with its own key. */
  url(path: Path): URL;

  /**
   * A file, or a part of it. Resolves when its content begins to arrive. Rejects if the response is not a success or the
   * path is a folder's (`is-folder`), as the calls below do. If the connection may be lost while the content arrives, use
   * the calls below: they retry until they have all of it.
   */
  fetch(path: Path, options?: FetchOptions): Promise<Response>;

  /** A file's bytes, or a part of them, as they are on the volume. */
  bytes(path: Path, options?: FetchOptions): Promise<ArrayBuffer>;

  /** A text file, decompressed if its name ends in `.gz`. */
  text(path: Path, options?: FetchOptions): Promise<string>;

  /** A JSON file, decompressed if its name ends in `.gz`. */
  json<T = unknown>(path: Path, options?: FetchOptions): Promise<T>;

  /**
   * The rows of a CSV file, as objects with the names in its first line; decompressed if its name ends in `.gz`. Values
   * stay text. The separator is the one of `,`, `;` and tab that is most frequent in the first line.
   */
  csv(path: Path, options?: FetchOptions): Promise<Record<string, string>[]>;

  /** All entries of a folder: folders first, in natural order. One request, unless `limit` is given. */
  list(folder?: Path, options?: ListOptions): Promise<Entry[]>;

  /** The same for folders with many entries: one page after the other. */
  entries(folder?: Path, options?: ListOptions): AsyncGenerator<Entry, void, undefined>;

  /**
   * Reports changes on the volume. Rejects if it can't continue, for example because the key was revoked.
   *
   * Unless `since` is given, the first report is `fresh`: list the folder then. After that, each change is reported once,
   * however often the server sleeps or the connection is lost. If that is not possible, `fresh` is reported again.
   *
   * It keeps no machine awake. It pauses while its tab is hidden and while the server is asleep. It continues when
   * somebody looks at the page or uses it, or when another call has woken the server, and then reports what was missed.
   * Resolves when `signal` has ended it.
   */
  changes(tell: (change: Change | Fresh, cursor: string) => void, options?: ChangesOptions): Promise<void>;

  /**
   * Stores a file, which becomes visible when it is complete. An interrupted upload is resumed: automatically while the
   * page is open, and later if the same `File` is uploaded to the same path again within a week.
   */
  upload(file: Blob, options?: UploadOptions): Promise<Uploaded>;
}

export type Path = string | URL;

export interface Cancellable {
  /** Aborts the call, which rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface FetchOptions extends Omit<RequestInit, "body" | "signal">, Cancellable {
  method?: "GET" | "HEAD";
  /** The first and the last byte; the last may be omitted. Or a number of bytes at the end: `[-100]`. */
  range?: readonly [first: number, last?: number];
}

export interface ListOptions extends Cancellable {
  /** Entries per request. Default: 10 000 for `entries`, all for `list`. */
  limit?: number;
  /** Only names that contain this text. */
  filter?: string;
}

/** A file or folder in a listing, by `entry.type`. */
export type Entry = FileEntry | FolderEntry;

export interface FileEntry extends NamedEntry {
  type: "file";
  /** Size in bytes. */
  size: number;
  /** Changes whenever the file does. */
  etag: string;
}

export interface FolderEntry extends NamedEntry {
  type: "directory";
  size?: undefined;
  etag?: undefined;
}

/** Properties of files and folders. */
export interface NamedEntry {
  name: string;
  /** Time of the last modification (RFC 3339). */
  mtime: string;
  /** For the calls above. */
  url: URL;
}

/** What happened to a file or folder. */
export interface Change {
  kind: "added" | "modified" | "moved" | "removed";
  path: string;
  /** The previous path, if it was moved. */
  from?: string;
  type: "file" | "directory";
  /** Size in bytes. For a folded change, of all its files together. */
  size?: number;
  mtime?: string;
  etag?: string;
  /** Number of files of a folded change. */
  count?: number;
  /** When it was noticed. */
  time: string;
  /** Its sequence number. */
  seq: number;
  /** For the calls above. */
  url: URL;
}

/** Changes may have been missed: list everything again. */
export interface Fresh {
  kind: "fresh";
}

export interface ChangesOptions extends Cancellable {
  /** Only changes in this folder. */
  path?: string;
  /** `folder`: a folder that arrives is one change, reported when nothing more has arrived for three seconds. */
  fold?: "folder";
  /** A cursor of an earlier report: continue after it. */
  since?: string;
}

export interface UploadOptions extends Cancellable {
  /** The path to store it at. With `/` at its end: into that folder, under the file's own name. */
  path?: string;
  /** What to do if a file with this name exists. Default: `refuse`. */
  exists?: "refuse" | "keep-both" | "replace";
  /** Called about every second with the number of bytes sent. */
  progress?: (sent: number, size: number) => void;
}

export interface Uploaded {
  /** Its URL. With `keep-both`, its name may differ from the requested one. */
  url: URL;
}

/**
 * The server refused the request; `message` has its reason, and a retry does not help. As `UnreachableError`: there was no
 * response.
 */
export class SoundingError extends Error {
  constructor(message: string, more?: { status?: number; type?: string; cause?: unknown });
  /** The response's status; 0 if there was none. */
  readonly status: number;
  /** A stable word for the problem, such as `no-room`. Empty if the server sent none. */
  readonly type: string;
}

/** 401 or 403: a key is needed, or another one. */
export class AccessError extends SoundingError {}

/** 404: there is nothing at this path. */
export class NotFoundError extends SoundingError {}

/** The server did not wake within a minute, or can't be reached at all. */
export class UnreachableError extends SoundingError {}
