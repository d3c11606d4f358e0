// Reads a tree as SimWrapper reads it: by the lines of its HTML listings. Prints a line for each folder.
//
// node simwrapper.mjs BASE KEY FOLDER: what is under the address BASE must be what is in FOLDER, byte for byte.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [base, key, folder] = process.argv.slice(2);
const headers = { Authorization: key };

/** SimWrapper's rule, written anew. */
function entries(html) {
  if (!html.includes('<table>')) throw new Error('no <table>');
  for (const other of ['<ul>', 'SimpleWebServer']) {
    if (html.includes(other)) throw new Error(`${other}, which means another server to SimWrapper`);
  }
  const dirs = [];
  const files = [];
  for (const line of html.split('\n')) {
    const begin = line.indexOf('<td><a href="');
    if (begin < 0) continue;
    const name = line.slice(begin).split('"')[1];
    if (name.endsWith('/')) dirs.push(name.slice(0, -1));
    else files.push(name);
  }
  return { dirs, files };
}

function same(what, actual, expected) {
  const [left, right] = [actual, expected].map((it) => JSON.stringify([...it].sort()));
  if (left !== right) throw new Error(`${what}: listed ${left}, on the disk ${right}`);
}

async function walk(address, path) {
  const answer = await fetch(address, { headers });
  if (!answer.ok) throw new Error(`${answer.status} for ${address}`);
  const { dirs, files } = entries(await answer.text());
  const there = readdirSync(path, { withFileTypes: true });
  const names = (isFolder) => there.filter((it) => it.isDirectory() === isFolder).map((it) => it.name);
  same(`folders of ${path}`, dirs.map(decodeURIComponent), names(true));
  same(`files of ${path}`, files.map(decodeURIComponent), names(false));
  for (const file of files) {
    // As it stands, glued to the folder's address.
    const answer = await fetch(address + file, { headers });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const expected = readFileSync(join(path, decodeURIComponent(file)));
    if (!answer.ok || !bytes.equals(expected)) throw new Error(`${answer.status}, ${bytes.length} bytes for ${file}`);
  }
  console.log(`${address}: ${dirs.length} folders, ${files.length} files`);
  for (const dir of dirs) await walk(`${address}${dir}/`, join(path, decodeURIComponent(dir)));
}

await walk(base, folder);
