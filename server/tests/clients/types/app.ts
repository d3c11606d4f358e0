// A web app in TypeScript, as far as its types go: what is meant to be written compiles, and what is not does not.

import { AccessError, connect, SoundingError, type Change, type Entry } from './sounding.js';

const server = connect('https://data.example', { key: 'key', waking: (text) => console.log(text.length) });

export async function app(file: File, signal: AbortSignal): Promise<void> {
  await server.wake({ signal });
  const entries: Entry[] = await server.list('run');
  for await (const entry of server.entries(entries[0]?.url, { limit: 10, filter: 'csv' })) console.log(entry.size ?? 0);
  const bytes: number = entries.reduce((sum, entry) => (entry.type === 'file' ? sum + entry.size + entry.etag.length : sum), 0);
  console.log(bytes);
  const response: Response = await server.fetch('run/a.bin', { range: [0, 99], headers: { 'If-None-Match': '"x"' }, signal });
  const collection = await server.json<{ features: number[] }>('run/network.geojson');
  const rows = await server.csv('run/trips.csv.gz');
  console.log(response.status, collection.features.length, rows[0]?.person?.length, await server.text('a'), await server.bytes('a'));
  const told = (change: Change) => console.log(change.path, change.url.href);
  await server.changes((change, cursor) => (change.kind === 'fresh' ? console.log(cursor) : told(change)), { fold: 'folder' });
  try {
    const { url } = await server.upload(file, { path: 'run/', exists: 'keep-both', progress: (sent, size) => sent / size });
    console.log(url.href);
  } catch (error) {
    if (error instanceof AccessError) console.log(error.status);
    else if (error instanceof SoundingError && error.type === 'no-room') console.log(error.message);
    else throw error;
  }
}

// @ts-expect-error reading is all that it is for
void server.fetch('run/a.bin', { method: 'POST' });
// @ts-expect-error a range is numbers
void server.fetch('run/a.bin', { range: 'bytes=0-1' });
// @ts-expect-error there is no such way to deal with what exists
void server.upload(new Blob(), { exists: 'overwrite' });
// @ts-expect-error what is fresh has no path
void server.changes((change) => change.path);
