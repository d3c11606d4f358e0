// Chromium as the web app's home: a page on another origin that reads the volume with `fetch`, and people who open
// addresses in it. Prints a line for each step.
//
// node browser.mjs INSTALLED CHROMIUM BASE KEY FOLDER CHAPTER: BASE serves FOLDER, which is written to in between.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { createRequire } from 'node:module';
import os from 'node:os';
import { dirname, extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const [installed, executablePath, base, key, folder, chapter] = process.argv.slice(2);
const { chromium } = createRequire(`${installed}/`)('playwright-core');

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Milliseconds that a look at the page may take to come true. */
const DEADLINE = 30_000;

/** What the other origin serves, by path: [content type, text, more fields]. */
const others = { '/': ['text/html', '<!doctype html><title>an app</title><link rel="icon" href="data:,">'] };
/** What it was asked for. */
const asked = [];
const app = http.createServer((request, response) => {
  asked.push(request.url);
  if (request.url.startsWith('/node_modules/')) return sendPackaged(request.url, response);
  const [type, text, more] = others[request.url] ?? [];
  response.writeHead(type ? 200 : 404, { 'Content-Type': type ?? 'text/plain', ...more });
  response.end(text);
});

/** A file of an installed package. */
function sendPackaged(path, response) {
  const types = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };
  response.writeHead(200, { 'Content-Type': types[extname(path)] });
  fs.createReadStream(join(installed, path)).pipe(response);
}

/** A file on the volume, with its folders. */
function put(path, content) {
  fs.mkdirSync(dirname(join(folder, path)), { recursive: true });
  fs.writeFileSync(join(folder, path), content);
}

function step(text) {
  console.log(`${chapter}: ${text}`);
}

/** Waits until what `look` finds is what is expected. */
async function eventually(look, expected, what) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const actual = await look();
    try {
      assert.deepEqual(actual, expected, what);
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Runs in the page. All of an answer that a page on another origin can see. */
async function read({ url, ...init }) {
  const answer = await fetch(url, init);
  const body = await answer.arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
  const text = new TextDecoder('latin1').decode(body);
  return {
    status: answer.status,
    url: answer.url,
    fields: Object.fromEntries(answer.headers),
    length: body.byteLength,
    hash: [...hash].map((it) => it.toString(16).padStart(2, '0')).join(''),
    versions: [...new Set(text.match(/v\d{4}(?=,)/g))],
    text: body.byteLength < 20_000 ? new TextDecoder().decode(body) : null,
  };
}

const chapters = { origins, duckdb, cache, scripts, login, listing, uploads, troubles };

// ---- An app on another origin ----

async function origins(context, home) {
  const page = await context.newPage();
  await page.goto(home);
  const get = (url, init = {}) => page.evaluate(read, { url: new URL(url, base).href, ...init });
  const headers = { Authorization: key };
  const content = 'a,b\n'.padEnd(30_000, '0123456789,line\n');
  put('run/table.csv', content);
  put('run/sub/K\u00f6ln & #1.txt', 'hello');
  const packed = gzipSync(content);
  put('run/table.csv.gz', packed);
  for (let it = 0; it < 7; it++) put(`run/many/${it}.txt`, 'x');

  const whole = await get('/files/run/table.csv', { headers });
  assert.equal(whole.status, 200);
  assert.equal(whole.hash, sha(content));
  assert.ok(whole.fields['content-encoding'], 'text is compressed on the way');
  for (const name of ['etag', 'accept-ranges', 'last-modified', 'date']) assert.ok(whole.fields[name], name);
  step(`a whole file with a key: ${whole.length} bytes in ${whole.fields['content-encoding']}`);

  const part = await get('/files/run/table.csv', { headers: { ...headers, Range: 'bytes=100-199' } });
  assert.equal(part.status, 206);
  assert.equal(part.text, content.slice(100, 200));
  assert.equal(part.fields['content-range'], 'bytes 100-199/30000');
  assert.equal(part.fields['content-length'], '100');
  assert.equal(part.fields['accept-ranges'], 'bytes');
  assert.match(part.fields.etag, /^"[^"]+"$/);
  assert.ok(Date.parse(part.fields['last-modified']) <= Date.now());
  step('a range with a key, and the fields that go with it');

  const beyond = await get('/files/run/table.csv', { headers: { ...headers, Range: 'bytes=40000-' } });
  assert.equal(beyond.status, 416);
  assert.equal(beyond.fields['content-range'], 'bytes */30000');
  step('a range outside the file');

  const strange = { ...headers, 'Access-Control-Allow-Origin': '*', 'X-Anything': 'x', 'If-None-Match': '"x"' };
  assert.equal((await get('/files/run/table.csv', { headers: strange })).status, 200);
  assert.equal((await get('/files/run/table.csv', { headers: { Authorization: `Bearer ${key}` } })).status, 200);
  assert.equal((await get(`/share/${key}/run/table.csv`)).hash, sha(content));
  step('preflights let every field through');

  const head = await get('/files/run/table.csv.gz', { headers, method: 'HEAD' });
  assert.equal(head.fields['content-length'], String(packed.length));
  const raw = await get('/files/run/table.csv.gz', { headers });
  assert.equal(raw.hash, sha(packed));
  assert.equal(raw.fields['content-encoding'], undefined);
  step('a .gz file comes packed, as it is');

  for (const [target, init, status] of [
    ['/files/run/table.csv', {}, 401],
    ['/files/run/table.csv', { headers: { Authorization: 'wrong-key' } }, 401],
    ['/files/run/absent.csv', { headers }, 404],
    ['/files/run/%00', { headers }, 400],
    ['/nowhere', {}, 404],
  ]) {
    const answer = await get(target, init);
    assert.equal(answer.status, status, target);
    assert.equal(answer.fields['content-type'], 'application/problem+json', target);
    const problem = JSON.parse(answer.text);
    assert.equal(problem.status, status);
    assert.ok(problem.type && problem.title && problem.detail, answer.text);
  }
  step('problems can be read');

  const accept = { ...headers, Accept: 'application/json' };
  const folder = await get('/files/run', { headers: accept });
  assert.ok(folder.url.endsWith('/files/run/'), folder.url);
  const entries = JSON.parse(folder.text);
  assert.deepEqual(entries.map((it) => [it.name, it.type, it.size]), [
    ['many', 'directory', undefined],
    ['sub', 'directory', undefined],
    ['table.csv', 'file', 30_000],
    ['table.csv.gz', 'file', packed.length],
  ]);
  // One tag for a file, whether it is listed or fetched.
  assert.equal(entries[2].etag, part.fields.etag);
  assert.equal(folder.fields['x-total-count'], '4');
  const names = [];
  let pages = 0;
  for (let url = `${base}/files/run/many/?format=json&limit=3`; url; pages++) {
    const answer = await get(url, { headers });
    assert.equal(answer.fields['x-total-count'], '7');
    names.push(...JSON.parse(answer.text).map((it) => it.name));
    const next = answer.fields.link?.match(/<([^>]*)>; rel="next"/)?.[1];
    url = next && new URL(next, url).href;
  }
  assert.deepEqual([names.length, new Set(names).size, pages], [7, 7, 3]);
  step('listings as JSON, a page at a time');

  const named = await get(`/files/run/sub/${encodeURIComponent('K\u00f6ln & #1.txt')}`, { headers });
  assert.equal(named.text, 'hello');
  assert.equal((await get('/health')).status, 200);
  step('awkward names, and health');
}

// ---- DuckDB within a page ----

/** Packages that duckdb-wasm imports by their names. */
const imports = {
  '@duckdb/duckdb-wasm': '/node_modules/@duckdb/duckdb-wasm/dist/duckdb-browser.mjs',
  'apache-arrow': '/node_modules/apache-arrow/Arrow.dom.mjs',
  flatbuffers: '/node_modules/flatbuffers/mjs/flatbuffers.js',
  tslib: '/node_modules/tslib/tslib.es6.mjs',
};

/** Runs in the page: DuckDB in a worker, which asks by itself, without any field of ours. */
async function sums(urls) {
  const dist = '/node_modules/@duckdb/duckdb-wasm/dist';
  const duckdb = await import('@duckdb/duckdb-wasm');
  const worker = new Worker(`${dist}/duckdb-browser-eh.worker.js`);
  const database = new duckdb.AsyncDuckDB(new duckdb.VoidLogger(), worker);
  await database.instantiate(`${dist}/duckdb-eh.wasm`);
  const connection = await database.connect();
  const found = [];
  for (const url of urls) {
    const table = await connection.query(`SELECT count(*) AS rows, sum(trip) AS trips FROM read_csv('${url}')`).catch((it) => it);
    found.push(table instanceof Error ? table.message : String(table.toArray()[0]));
  }
  return found;
}

async function duckdb(context) {
  const map = `<script type="importmap">${JSON.stringify({ imports })}</script>`;
  others['/duckdb'] = ['text/html', `<!doctype html><link rel="icon" href="data:,">${map}`];
  const page = await context.newPage();
  const statuses = new Set();
  page.on('response', (it) => it.url().startsWith(base) && statuses.add(`${it.request().method()} ${it.status()}`));
  await page.goto(`http://localhost:${app.address().port}/duckdb`);
  const rows = 20_000;
  const content = `person,trip\n${Array.from({ length: rows }, (_, it) => `person ${it},${it}\n`).join('')}`;
  const root = `${base}/share/${key}`;
  const urls = [];
  for (const subfolder of ['', 'run', 'run/K\u00f6ln (50%) & more']) {
    put(join(subfolder, 'output_plans.csv'), content);
    const address = subfolder.split('/').map(encodeURIComponent).join('/');
    // As SimWrapper puts an address together: `//` at the root, and wherever the base URL ends in a slash.
    for (const slash of ['', '/']) urls.push(`${root}${slash}/${address}/output_plans.csv`);
  }
  assert.ok(urls[0].includes('//output') && urls[1].includes('///output') && urls[3].includes('//run/'), urls);
  const expected = JSON.stringify({ rows: String(rows), trips: String((rows * (rows - 1)) / 2) });
  const found = await page.evaluate(sums, urls);
  for (const [index, text] of found.entries()) {
    assert.equal(JSON.stringify(JSON.parse(text, (_, it) => (typeof it === 'number' ? String(it) : it))), expected, urls[index]);
  }
  step(`${urls.length} addresses: ${[...statuses].sort().join(', ')}`);
}

// ---- No mixture of versions ----

function sha(content) {
  return createHash('sha256').update(content).digest('hex');
}

/** Text in which each line says which version it belongs to. All versions have the same length. */
function version(number, length) {
  const mark = `v${String(number).padStart(4, '0')}`;
  const lines = [];
  for (let size = 0; size < length; size += 40) {
    lines.push(`${mark},line ${String(size).padStart(9, '0')},0123456789abc,\n`.padStart(40));
  }
  return Buffer.from(lines.join('').slice(0, length));
}

/** Random numbers that are the same in each run (mulberry32). */
function random(seed) {
  const next = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let it = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    it = (it + Math.imul(it ^ (it >>> 7), 61 | it)) ^ it;
    return ((it ^ (it >>> 14)) >>> 0) / 4294967296;
  };
  return (below) => Math.floor(next() * below);
}

/** In place or by rename, and sometimes with the date of the version before, as rsync and tar leave it. */
function rewrite(path, content, byRename, keepsDate) {
  const target = join(folder, path);
  const before = fs.statSync(target);
  if (byRename) {
    fs.writeFileSync(`${target}.new`, content);
    if (keepsDate) fs.utimesSync(`${target}.new`, before.atime, before.mtime);
    fs.renameSync(`${target}.new`, target);
  } else {
    const file = fs.openSync(target, 'r+');
    fs.writeSync(file, content);
    fs.ftruncateSync(file, content.length);
    fs.closeSync(file);
    if (keepsDate) fs.utimesSync(target, before.atime, before.mtime);
  }
}

/** Runs in the page: begins a fetch and leaves off, so that the cache keeps the beginning. */
async function abandon({ url, ...init }) {
  const controller = new AbortController();
  const answer = await fetch(url, { ...init, signal: controller.signal });
  await answer.body.getReader().read();
  controller.abort();
}

async function cache(context, home) {
  const page = await context.newPage();
  await page.goto(home);
  // What goes over the wire, which the page does not see.
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  const statuses = {};
  const wire = [];
  session.on('Network.requestWillBeSentExtraInfo', (it) => {
    const fields = Object.entries(it.headers).filter(([name]) => /^(range|if-.*|cache-control|accept-encoding|:method)$/i.test(name));
    wire.push(`> ${fields.map((it) => it.join(': ')).join(', ')}`);
  });
  session.on('Network.responseReceivedExtraInfo', (it) => {
    statuses[it.statusCode] = (statuses[it.statusCode] ?? 0) + 1;
    const fields = Object.entries(it.headers).filter(([name]) => /^(content-range|content-length|content-encoding|etag|vary)$/i.test(name));
    wire.push(`< ${it.statusCode} ${fields.map((it) => it.join(': ')).join(', ')}`);
  });
  // The one is compressed on the way, the other is not and can be resumed by the cache.
  for (const [name, length, seed] of [['table.csv', 1_500_000, 1], ['table.bin', 5_000_000, 2]]) {
    for (const withKey of [true, false]) {
      const path = `run/${seed}-${withKey}/${name}`;
      const url = withKey ? `${base}/files/${path}` : `${base}/share/${key}/${path}`;
      const began = Date.now();
      const counts = await sequence(wire, page, path, url, withKey ? { Authorization: key } : {}, length, seed);
      step(`${name} ${withKey ? 'with' : 'without'} a preflight: ${JSON.stringify(counts)} in ${Date.now() - began} ms`);
    }
  }
  step(`over the wire: ${JSON.stringify(statuses)}`);
  assert.ok(statuses[200] && statuses[206] && statuses[304], 'the cache took part');
}

async function sequence(wire, page, path, url, headers, length, seed) {
  const pick = random(seed);
  let number = 1;
  let content = version(number, length);
  put(path, content);
  const history = [];
  const counts = {};
  let tag = '"none"';
  let hasGrown = false;

  function range() {
    const all = content.length;
    const first = pick(all);
    const size = [1, 100, 5000, 400_000][pick(4)];
    const last = Math.min(first + size, all) - 1;
    return [
      [`bytes=${first}-${last}`, first, last],
      [`bytes=${first}-`, first, all - 1],
      [`bytes=-${size}`, all - size, all - 1],
      [`bytes=0-${last}`, 0, last],
      ['bytes=0-', 0, all - 1],
    ][pick(5)];
  }
  function check(what, answer, expected) {
    const actual = [answer.status, answer.fields['content-range'] ?? '', answer.length, answer.hash];
    const detail = `step ${history.length}, ${what}: versions ${answer.versions} where ${number} is on the disk; before: ${history.slice(-8).join('; ')}; on the wire:\n${wire.slice(-24).join('\n')}`;
    assert.deepEqual(actual, [...expected.slice(0, 2), expected[2].length, sha(expected[2])], detail);
    if (answer.fields.etag) tag = answer.fields.etag;
  }
  async function whole(mode) {
    check(`whole ${mode}`, await page.evaluate(read, { url, headers, cache: mode }), [200, '', content]);
  }
  /**
   * A part is what its Content-Range says of the one version on the disk. A server may answer with the whole file
   * at any time. And Chromium asks for no more than its copy has: of a file that grew since, it may pass on
   * another part than the page asked for, and says so in Content-Range.
   */
  function checkPart(what, answer, [first, last]) {
    if (answer.status === 200) {
      counts.wholeForPart = (counts.wholeForPart ?? 0) + 1;
      return check(what, answer, [200, '', content]);
    }
    let field = `bytes ${first}-${last}/${content.length}`;
    if (answer.fields['content-range'] !== field && hasGrown) {
      counts.partOfOldLength = (counts.partOfOldLength ?? 0) + 1;
      field = answer.fields['content-range'] ?? '';
      const said = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(field)?.slice(1).map(Number) ?? [];
      assert.equal(said[2], content.length, `${what}: ${field}`);
      [first, last] = said;
    }
    check(what, answer, [206, field, content.subarray(first, last + 1)]);
  }
  async function ranged(mode) {
    const [Range, ...part] = range();
    checkPart(`${Range} ${mode}`, await page.evaluate(read, { url, headers: { ...headers, Range }, cache: mode }), part);
  }
  const modes = ['default', 'default', 'no-cache', 'reload'];
  const steps = {
    whole: () => whole(modes[pick(4)]),
    ranged: () => ranged(modes[pick(4)]),
    both: () => Promise.all([whole('default'), ranged('default'), ranged('default')]),
    abandoned: () => page.evaluate(abandon, { url, headers }),
    async head() {
      const answer = await page.evaluate(read, { url, headers, method: 'HEAD', cache: modes[pick(4)] });
      assert.equal(answer.status, 200);
      assert.ok([undefined, String(content.length)].includes(answer.fields['content-length']));
    },
    async ifRange() {
      const [Range, ...part] = range();
      const fields = { ...headers, Range, 'If-Range': tag };
      checkPart(`${Range} if ${tag}`, await page.evaluate(read, { url, headers: fields }), part);
    },
    rewrite() {
      number += 1;
      // Most often of the same length.
      const grown = pick(3) === 0;
      hasGrown ||= grown;
      content = version(number, grown ? length + 40 * pick(10_000) : content.length);
      const [byRename, keepsDate] = [pick(2) === 1, pick(3) === 0];
      rewrite(path, content, byRename, keepsDate);
      history.push(byRename ? 'by rename' : 'in place', keepsDate ? 'with the old date' : 'now', grown ? 'another length' : 'the same length');
    },
  };
  const weights = 'whole whole ranged ranged ranged both abandoned head ifRange rewrite rewrite rewrite'.split(' ');
  for (let it = 0; it < 70; it++) {
    const name = weights[pick(weights.length)];
    counts[name] = (counts[name] ?? 0) + 1;
    history.push(name);
    wire.push(`${it}: ${name}`);
    await steps[name]();
  }
  return counts;
}

// ---- Uploaded files that bring scripts ----

async function scripts(context, home) {
  const run = `document.title = 'ran'; document.documentElement.setAttribute('data-ran', 'yes');
    try { localStorage.ran = 'yes' } catch {} new Image().src = '${home}marker'; alert('ran');`;
  const xhtml = 'xmlns="http://www.w3.org/1999/xhtml"';
  const html = `<!doctype html><title>quiet</title><body onload="${run.replaceAll('"', '&quot;')}"><script>${run}</script>
    <img src="x:" onerror="document.title = 'ran'"><a href="javascript:document.title='ran'">a</a>
    <meta http-equiv="refresh" content="0;url=javascript:document.title='ran'">`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" onload="document.documentElement.setAttribute('data-ran', 'yes')"><title>quiet</title>
    <script>document.documentElement.setAttribute('data-ran', 'yes')</script><circle r="40"/></svg>`;
  const page1 = `<html ${xhtml}><head><title>quiet</title><script>document.documentElement.setAttribute('data-ran', 'yes')</script></head><body/></html>`;
  const xml = `<?xml version="1.0"?><root><script ${xhtml}>document.documentElement.setAttribute('data-ran', 'yes')</script></root>`;
  const xsl = `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">${page1}</xsl:template></xsl:stylesheet>`;
  const styled = `<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="evil.xsl"?><root/>`;
  const files = {
    'evil.html': html,
    'evil.htm': html,
    'evil.shtml': html,
    'evil.HTML': html,
    'evil.svg': svg,
    'evil.xhtml': page1,
    'evil.xht': page1,
    'evil.xml': xml,
    'styled.xml': styled,
    'evil.xsl': xsl,
    'evil.xslt': xsl,
    'evil.rdf': xml,
    'evil.atom': xml,
    'evil.rss': xml,
    'evil.mathml': xml,
    'evil.gml': xml,
    'evil.kml': xml,
    'evil.osm': xml,
    'evil.txt': html,
    'evil.md': html,
    'evil.csv': html,
    'evil.json': html,
    'evil.yaml': html,
    'evil.png': html,
    evil: html,
    'evil.unheard-of': html,
    'index.html': html,
  };
  const page = await context.newPage();
  const dialogs = [];
  page.on('dialog', (it) => {
    dialogs.push(it.message());
    return it.dismiss();
  });
  /** What is left behind by a script that ran. */
  async function traces(url) {
    const [before, alerts] = [asked.length, dialogs.length];
    let status = 'a download';
    try {
      status = (await page.goto(url, { waitUntil: 'load' })).status();
      // Long enough for a script that is let run, as the controls show; and for a redirect to an address of script.
      await page.waitForTimeout(100);
    } catch (error) {
      if (!/Download is starting|ERR_ABORTED/.test(error.message)) throw error;
      await page.goto('about:blank');
    }
    const [title, mark] = await page.evaluate(() => [document.title, document.documentElement?.getAttribute('data-ran')]);
    const found = [title === 'ran' && title, mark, ...asked.slice(before).filter((it) => it === '/marker'), ...dialogs.slice(alerts)];
    return { status, found: found.filter(Boolean) };
  }
  others['/evil.html'] = ['text/html', html];
  others['/evil.svg'] = ['image/svg+xml', svg];
  others['/evil.xml'] = ['text/xml', xml];
  others['/evil.xhtml'] = ['application/xhtml+xml', page1];
  for (const name of ['evil.html', 'evil.svg', 'evil.xml', 'evil.xhtml']) {
    const { found } = await traces(home + name);
    assert.notEqual(found.length, 0, `${name} runs where nothing forbids it, and that is seen`);
    step(`where nothing forbids it, ${name} leaves ${found}`);
  }
  for (const [name, text] of Object.entries(files)) {
    put(`public/up/${name}`, text);
    for (const url of [`${base}/files/public/up/${name}`, `${base}/share/${key}/public/up/${name}`]) {
      const { status, found } = await traces(url);
      assert.deepEqual(found, [], `${url} ran`);
      if (url.includes('/files/')) step(`${name}: ${status}, no trace`);
    }
  }
  // Names and addresses are text too.
  const name = `<img src=x: onerror="document.title='ran'">.txt`;
  put(`public/up/${name}`, 'x');
  put(`public/up/<script>document.title='ran'<\u2215script>/x.txt`, 'x');
  for (const url of ['files/public/up/', `files/public/up/?filter=${encodeURIComponent('"><script>document.title=1</script>')}`, `files/public/${encodeURIComponent(name)}`, `files/private/${encodeURIComponent(name)}`, `${encodeURIComponent(name)}`]) {
    const { status, found } = await traces(`${base}/${url}`);
    assert.deepEqual(found, [], url);
    assert.notEqual(await page.title(), '1');
    step(`${decodeURIComponent(url)}: ${status}, no trace`);
  }
  await page.goto(`${base}/files/public/up/`);
  assert.equal(await page.evaluate(() => localStorage.ran), undefined, 'the origin has no memory of a script');
}

// ---- A browser that has the key as the password of a login ----

async function login(context, home) {
  const image = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
  const html = `<!doctype html><title>quiet</title><link rel="stylesheet" href="style.css"><script>document.title = 'ran'</script>
    <script src="x.js"></script><img src="a.png" onerror="document.title = 'ran'"><img src="deep/b.png"><img src="/files/run/report/a.png">`;
  for (const folder of ['run/report', 'public/report']) {
    put(`${folder}/index.html`, html);
    put(`${folder}/page.xhtml`, html.replace('<!doctype html>', '<html xmlns="http://www.w3.org/1999/xhtml"><head>').replace(/<(link|img)([^>]*)>/g, '<$1$2/>') + '</head></html>');
    put(`${folder}/style.css`, 'img { outline: 3px solid red }');
    put(`${folder}/x.js`, 'document.title = "ran"; window.got = "private";');
    put(`${folder}/a.png`, image);
    put(`${folder}/deep/b.png`, image);
  }
  const page = await context.newPage();
  // As a person does it: by the address, so that the browser itself keeps what was typed.
  await page.goto(`${base.replace('//', `//:${encodeURIComponent(key)}@`)}/files/run/`);
  const looks = () => ({
    images: [...document.images].map((it) => it.naturalWidth > 0),
    outline: getComputedStyle(document.images[0]).outlineStyle,
    title: document.title,
  });
  for (const [address, third] of [['files/run', true], ['files/public', true], [`share/${key}/run`, true]]) {
    for (const name of ['index.html', 'page.xhtml']) {
      await page.goto(`${base}/${address}/report/${name}`, { waitUntil: 'load' });
      assert.deepEqual(await page.evaluate(looks), { images: [true, true, third], outline: 'solid', title: 'quiet' }, `${address}/${name}`);
    }
  }
  step('an uploaded page has its images and styles, and runs no script');

  // Other sites, on the same host and on another, with and without isolation of their own.
  const isolated = { 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Opener-Policy': 'same-origin' };
  others['/isolated'] = [...others['/'], isolated];
  const embed = ([image, script]) => new Promise((resolve) => {
    const found = {};
    const done = (name, it) => { found[name] = it; if (Object.keys(found).length === 2) resolve(found); };
    for (const [name, src] of [['img', image], ['script', script]]) {
      const element = document.createElement(name);
      element.onload = () => done(name, true);
      element.onerror = () => done(name, false);
      element.src = src;
      document.body.append(element);
    }
  });
  for (const host of [home, home.replace('127.0.0.1', 'localhost')]) {
    for (const address of [host, `${host}isolated`]) {
      await page.goto(address);
      assert.equal(await page.evaluate(() => crossOriginIsolated), address.endsWith('isolated'));
      const loads = (folder) => page.evaluate(embed, ['a.png', 'x.js'].map((it) => `${base}/${folder}/report/${it}`));
      assert.deepEqual(await loads('files/run'), { img: false, script: false }, `${address} had what is private`);
      assert.deepEqual(await loads('files/public'), { img: true, script: true }, `${address}, public`);
      assert.deepEqual(await loads(`share/${key}/run`), { img: true, script: true }, `${address}, shared`);
      for (const name of ['report/a.png', 'report/index.html', 'report/', '', 'absent']) {
        const answer = await page.evaluate(read, { url: `${base}/files/run/${name}`, headers: { Authorization: key } });
        assert.equal(answer.status, name === 'absent' ? 404 : 200, `${address} ${name}`);
        const shared = await page.evaluate(read, { url: `${base}/share/${key}/run/${name}` });
        assert.equal(shared.status, name === 'absent' ? 404 : 200, `${address} ${name}`);
      }
      step(`${address} embeds what is public or shared, and nothing that a login opens`);
    }
  }
}

// ---- A listing as people see it ----

async function listing(context, home, browser) {
  const sizes = {};
  for (let it = 0; it < 30; it++) {
    const name = `${it % 3 ? 'bus' : 'Tram & <b>'} ${it}.csv`;
    sizes[name] = ((it * 7919) % 30) * 100 + 1;
    put(`public/list/${name}`, 'x'.repeat(sizes[name]));
  }
  put('public/list/bus folder/x.txt', 'x');
  put('public/list/other/x.txt', 'x');
  const bySize = Object.keys(sizes).sort((a, b) => sizes[a] - sizes[b]);
  const trams = Object.keys(sizes).filter((it) => it.startsWith('Tram'));
  const complaints = [];

  async function open(context) {
    const page = await context.newPage();
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (it) => console.error(`policy: ${it.violatedDirective} ${it.blockedURI}`));
    });
    page.on('console', (it) => it.type() === 'log' || complaints.push(`${it.type()}: ${it.text()}`));
    page.on('pageerror', (it) => complaints.push(String(it)));
    return page;
  }
  const shown = (page) => () =>
    page.evaluate(() =>
      [...document.querySelectorAll('tbody tr')].filter((it) => it.checkVisibility()).map((it) => it.querySelector('a').textContent),
    );
  const files = (page) => async () => (await shown(page)()).filter((it) => !it.endsWith('/'));
  const sorted = async (page) => JSON.stringify(await files(page)());

  const page = await open(context);
  for (const url of ['/files/public/list/', '/files/', `/share/${key}/`, '/files/public/list/?sort=-size&filter=bus']) {
    await page.goto(base + url, { waitUntil: 'networkidle' });
    assert.ok((await shown(page)()).length > 0, url);
    assert.deepEqual(complaints, [], url);
  }
  step('no complaint in the console');

  // Without scripts the form does it.
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const quiet = await open(plain);
  // The page's own script is off, so what is shown is looked up from outside.
  const names = () => quiet.locator('tbody tr a').allTextContents();
  await quiet.goto(`${base}/files/public/list/`);
  await quiet.getByPlaceholder('Filter names').fill('TRAM & <');
  await quiet.getByPlaceholder('Filter names').press('Enter');
  await eventually(async () => (await names()).sort(), [...trams].sort(), 'filtered');
  await quiet.goto(`${base}/files/public/list/`);
  await quiet.getByRole('button', { name: 'Size' }).click();
  await eventually(async () => (await names()).slice(2), bySize, 'by size');
  await quiet.getByRole('button', { name: 'Size' }).click();
  await eventually(async () => (await names()).slice(2), [...bySize].reverse(), 'by size, reversed');
  // The address of all that a key covers, which lost its last slash.
  await quiet.goto(`${base}/share/${key}`);
  await quiet.getByRole('button', { name: 'Size' }).click();
  await quiet.waitForURL(`${base}/share/${key}?filter=&sort=size`);
  await quiet.getByRole('link', { name: 'public/' }).click();
  await quiet.waitForURL(`${base}/share/${key}/public/`);
  assert.deepEqual(complaints, []);
  await plain.close();
  step('filters and sorts without scripts');
  step('links lead on from an address without its last slash');

  await page.goto(`${base}/files/public/list/`);
  const script = await page.evaluate(() => document.querySelector('script')?.textContent.trim() ?? '');
  if (script === '') return step('the page has no script yet: typing is not tried');
  const filter = page.getByPlaceholder('Filter names');
  await filter.pressSequentially('TRAM & <');
  await eventually(async () => (await shown(page)()).sort(), [...trams].sort(), 'filtered while typing');
  await filter.fill('');
  await eventually(async () => (await shown(page)()).length, 32, 'all again');
  const [up, down] = [JSON.stringify(bySize), JSON.stringify([...bySize].reverse())];
  await page.getByRole('button', { name: 'Size' }).click();
  await eventually(async () => [up, down].includes(await sorted(page)), true, 'by size');
  const once = await sorted(page);
  await page.getByRole('button', { name: 'Size' }).click();
  await eventually(() => sorted(page), once === up ? down : up, 'by size, reversed');
  assert.ok((await shown(page)()).slice(0, 2).every((it) => it.endsWith('/')), 'folders stay first');
  assert.deepEqual(await page.locator('th[aria-sort]').allTextContents(), ['Size']);
  assert.deepEqual(complaints, []);
  step('filters and sorts while typing');

  // What the server's filter left out comes when another word is typed, which stays.
  await page.goto(`${base}/files/public/list/?filter=bus&sort=-size`);
  await eventually(async () => (await shown(page)()).length, 21, 'filtered by the server');
  await filter.fill('');
  await filter.pressSequentially('tram');
  await page.waitForURL((it) => !it.search.includes('filter'));
  await eventually(async () => JSON.stringify(await shown(page)()), JSON.stringify(trams.sort((a, b) => sizes[b] - sizes[a])), 'filtered anew');
  assert.equal(await filter.inputValue(), 'tram');
  assert.ok(await filter.evaluate((it) => it === document.activeElement), 'and typing goes on');
  await filter.pressSequentially('zzz');
  await eventually(() => page.locator('#count').textContent(), '0 of 32 shown', 'no match');
  await page.goto(`${base}/files/public/list/?filter=zzz`);
  assert.equal(await page.locator('#count').textContent(), 'nothing with \u201czzz\u201d in its name');
  step('another word in place of the filter that is in the address');

  // For all who read otherwise than by eye and mouse: axe-core's rules on each kind of page, in both schemes.
  const axe = fs.readFileSync(join(installed, 'node_modules/axe-core/axe.min.js'), 'utf8');
  put('empty/.hidden', 'x');
  const inspected = await browser.newContext({ bypassCSP: true, httpCredentials: { username: '', password: key, origin: base } });
  const reader = await inspected.newPage();
  for (const colorScheme of ['light', 'dark']) {
    await reader.emulateMedia({ colorScheme });
    for (const target of ['/files/', '/files/public/list/', '/files/public/list/?sort=-size&filter=bus', '/files/empty/', `/share/${key}/public/list/other/`, '/files/absent']) {
      await reader.goto(base + target);
      await reader.evaluate(axe);
      const { violations } = await reader.evaluate(() => axe.run());
      const found = violations.map((it) => `${it.id}: ${it.help}: ${it.nodes.map((node) => node.html.slice(0, 200)).join(' | ')}`);
      assert.deepEqual(found, [], `${target}, ${colorScheme}`);
    }
  }
  await inspected.close();
  step('axe-core has nothing to say');
}

// ---- Uploads from a listing ----

/** A line to the server on which a connection brings no more than some megabytes, as long as it stalls. */
async function stallingLine() {
  const { hostname, port } = new URL(base);
  const line = { stalls: true, hanging: [] };
  const proxy = net.createServer((client) => {
    const server = net.connect(Number(port), hostname);
    let bytes = 0;
    server.pipe(client);
    client.on('data', (chunk) => {
      server.write(chunk);
      bytes += chunk.length;
      if (!line.stalls || bytes < 8_000_000) return;
      client.pause();
      line.hanging.push(client);
    });
    for (const [one, other] of [[client, server], [server, client]]) {
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  proxy.unref();
  line.base = `http://127.0.0.1:${proxy.address().port}`;
  return line;
}

async function uploads(context) {
  const complaints = [];
  const open = async (target, from = base) => {
    const page = await context.newPage();
    page.on('console', (it) => it.type() === 'error' && !/status of 4(01|09)/.test(it.text()) && complaints.push(it.text()));
    page.on('pageerror', (it) => complaints.push(String(it)));
    await page.goto(from + target);
    return page;
  };
  const content = (path) => () => (fs.existsSync(join(folder, path)) ? fs.readFileSync(join(folder, path), 'utf8') : null);
  const file = (name, text) => ({ name, mimeType: 'text/csv', buffer: Buffer.from(text) });
  const chosen = (page) => page.locator('#upload input[multiple]');
  put('run/old.csv', 'old');

  let page = await open('/files/run/');
  await chosen(page).setInputFiles([file('neu \u00e4 & #1.csv', 'new')]);
  await eventually(content('run/neu \u00e4 & #1.csv'), 'new', 'a chosen file');
  await page.getByRole('link', { name: 'neu \u00e4 & #1.csv' }).waitFor();
  step('a chosen file, and the listing shows it');

  await chosen(page).setInputFiles([file('old.csv', 'changed'), file('more.csv', 'more')]);
  await page.getByText('1 was there already').waitFor();
  await eventually(content('run/more.csv'), 'more', 'the other');
  assert.equal(content('run/old.csv')(), 'old');
  await page.getByRole('combobox').selectOption('replace');
  await chosen(page).setInputFiles([file('old.csv', 'changed')]);
  await eventually(content('run/old.csv'), 'changed', 'replaced');
  step('what is there stays, unless it is to be replaced');

  const table = fs.readFileSync(new URL('../../../volume/src/size.tsv', import.meta.url), 'utf8').trim().split('\n').map((it) => it.split('\t'));
  const shown = table.map(([bytes, text]) => [Number(bytes), text]).filter(([bytes]) => Number.isSafeInteger(bytes));
  assert.ok(shown.length > 10);
  assert.deepEqual(await page.evaluate((all) => all.map(([bytes]) => [bytes, size(bytes)]), shown), shown);
  step('sizes are those of the listing and the console');

  const source = fs.mkdtempSync(join(os.tmpdir(), 'source-'));
  const run = join(source, 'Lauf 7');
  for (let it = 0; it < 150; it++) {
    fs.mkdirSync(join(run, `ITERS/it.${it % 3}`), { recursive: true });
    fs.writeFileSync(join(run, `ITERS/it.${it % 3}/${it}.csv`), `file ${it}`);
  }
  // What the server serves of the names with a dot in front, and what it does not.
  const served = ['.simwrapper/dashboard-1.yaml', '.zgroup', 'counts/.zarray', 'counts/.zattrs', '.zmetadata', '.well-known/x.json'];
  const notServed = ['.DS_Store', 'ITERS/.git/config', 'ITERS/.git/HEAD', 'lost+found/1', 'auth-keys.csv'];
  for (const it of [...served, ...notServed]) {
    fs.mkdirSync(dirname(join(run, it)), { recursive: true });
    fs.writeFileSync(join(run, it), it);
  }
  page = await open('/files/run/');
  await page.locator('#upload input[webkitdirectory]').setInputFiles(run);
  for (const it of [0, 77, 149]) {
    await eventually(content(`run/Lauf 7/ITERS/it.${it % 3}/${it}.csv`), `file ${it}`, 'a file in folders');
  }
  await page.getByText('156 of 156 files').waitFor();
  for (const it of served) assert.equal(content(`run/Lauf 7/${it}`)(), it, it);
  for (const it of notServed) assert.equal(content(`run/Lauf 7/${it}`)(), null, it);
  // It stays on the screen, by name.
  const left = await page.getByText('Left out').textContent();
  for (const it of ['Lauf 7/.DS_Store', 'Lauf 7/ITERS/.git/ (2 files)', 'Lauf 7/lost+found/', 'Lauf 7/auth-keys.csv']) assert.ok(left.includes(it), left);
  await page.reload();
  await page.getByRole('link', { name: 'Lauf 7/' }).waitFor();
  const came = fs.readdirSync(join(folder, 'run/Lauf 7'), { recursive: true }).filter((it) => it.endsWith('.csv'));
  assert.equal(came.length, 150);
  step('a folder of 156 files; what is left out of it is named');

  page = await open(`/share/${key}`);
  await chosen(page).setInputFiles([file('top.csv', 'top')]);
  await eventually(content('top.csv'), 'top', 'a file at the root');

  page = await open(`/share/${key}/run/`);
  const drop = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(['dropped'], 'dropped.csv'));
    return transfer;
  });
  await page.dispatchEvent('#upload', 'drop', { dataTransfer: drop });
  await eventually(content('run/dropped.csv'), 'dropped', 'a dropped file');
  step('a dropped file, with the key in the address');

  // Half-way the page is closed. Another one goes on when the same file is chosen again.
  const big = join(source, 'big.bin');
  fs.writeFileSync(big, version(1, 40_000_000));
  const line = await stallingLine();
  page = await open(`/share/${key}/run/`, line.base);
  await chosen(page).setInputFiles(big);
  const staged = () => fs.readdirSync(join(folder, '.sounding/staging')).map((it) => fs.statSync(join(folder, '.sounding/staging', it)).size);
  await eventually(() => staged().some((it) => it > 5_000_000), true, 'some of it came');
  await page.close();
  line.stalls = false;
  page = await open(`/share/${key}/run/`, line.base);
  const offsets = [];
  page.on('request', (it) => it.method() === 'PATCH' && offsets.push(Number(it.headers()['upload-offset'])));
  await chosen(page).setInputFiles(big);
  await eventually(() => fs.existsSync(join(folder, 'run/big.bin')), true, 'all of it came');
  assert.equal(sha(fs.readFileSync(join(folder, 'run/big.bin'))), sha(fs.readFileSync(big)));
  assert.ok(offsets[0] > 5_000_000, `it went on at ${offsets}`);
  await eventually(() => staged().length, 0, 'nothing is left in staging');
  // The page shows its listing anew, for which it needs the line.
  await page.getByRole('link', { name: 'big.bin' }).waitFor();
  step(`an upload goes on at ${offsets[0]} after its page was closed`);
  // One that is paused does not notice its end.
  for (const it of line.hanging) it.destroy();

  // The server is out of reach for a while.
  await context.setOffline(true);
  await chosen(page).setInputFiles([file('later.csv', 'later')]);
  await page.getByText('trying again').waitFor();
  await context.setOffline(false);
  await eventually(content('run/later.csv'), 'later', 'it came later');
  step('an upload waits for the line');
  assert.deepEqual(complaints.filter((it) => !/ERR_(INTERNET_DISCONNECTED|ABORTED)/.test(it)), []);
  fs.rmSync(source, { recursive: true, force: true });
}

// ---- Uploads that go wrong ----

async function troubles(context) {
  const open = async (target, from = base) => {
    const page = await context.newPage();
    await page.goto(from + target);
    return page;
  };
  const content = (path) => () => (fs.existsSync(join(folder, path)) ? fs.readFileSync(join(folder, path), 'utf8') : null);
  const file = (name, text) => ({ name, mimeType: 'text/csv', buffer: Buffer.from(text) });
  const chosen = (page) => page.locator('#upload input[multiple]');
  const summary = (page) => page.locator('#upload [role=status]').first();
  const button = (page, name) => page.getByRole('button', { name, exact: true });
  const focused = (page) => page.evaluate(() => document.activeElement.tagName);
  const source = fs.mkdtempSync(join(os.tmpdir(), 'source-'));
  const keys = join(folder, '.sounding/auth-keys.csv');
  put('run/sub/old.csv', 'old');
  put('run/sub/older.csv', 'older');

  // Keys are a control's own while it has the focus.
  let page = await open('/files/run/sub/');
  await page.getByRole('combobox').focus();
  for (const it of ['ArrowDown', 'ArrowLeft', 'h', 'Backspace', 'j', 'End']) {
    await page.keyboard.press(it);
    assert.equal(await focused(page), 'SELECT', it);
  }
  for (const it of ['ArrowLeft', 'h', 'Backspace', 'ArrowDown', '/']) {
    await button(page, 'Size').focus();
    await page.keyboard.press(it);
    assert.equal(await focused(page), 'BUTTON', it);
  }
  assert.equal(new URL(page.url()).pathname, '/files/run/sub/');
  await page.locator('tbody a').first().focus();
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'older.csv');
  step('keys move between files, and are left to controls');

  // An upload that stands still, and is then cancelled.
  const line = await stallingLine();
  const big = join(source, 'big.bin');
  fs.writeFileSync(big, version(1, 30_000_000));
  page = await open(`/share/${key}/run/sub/`, line.base);
  await chosen(page).setInputFiles(big);
  await page.locator('#transfers progress').waitFor();
  await page.evaluate(() => document.activeElement.blur());
  for (const it of ['ArrowLeft', 'h', 'Backspace']) await page.keyboard.press(it);
  assert.equal(await page.locator('#transfers progress').count(), 1, 'the page is still there');
  await button(page, 'Cancel all').click();
  await eventually(() => summary(page).textContent(), '1 cancelled', 'a cancelled upload');
  line.stalls = false;
  for (const it of line.hanging) it.destroy();
  await page.close({ runBeforeUnload: false });
  step('no key leaves a page that uploads; what was cancelled is said');

  // Two windows with the same file do not take it from each other.
  page = await open('/files/run/sub/');
  const held = [];
  await page.route('**/uploads/*', (route) => (route.request().method() === 'PATCH' ? held.push(route) : route.continue()));
  await chosen(page).setInputFiles(big);
  await eventually(() => held.length, 1, 'it began');
  await held[0].fulfill({ status: 423, contentType: 'application/problem+json', body: JSON.stringify({ type: 'urn:sounding:problem:taken-over', title: 'x', detail: 'x' }) });
  await page.getByText('Another window or program goes on with this upload').waitFor();
  await page.unroute('**/uploads/*');
  await button(page, 'Try again').click();
  await eventually(() => fs.existsSync(join(folder, 'run/sub/big.bin')), true, 'it went on');
  step('an upload that another window goes on with is left to it');

  // No memory.
  const forgetful = await context.newPage();
  await forgetful.addInitScript(() => {
    const refuse = { get() { throw new DOMException('Access is denied for this document.', 'SecurityError'); } };
    Object.defineProperty(window, 'localStorage', refuse);
  });
  await forgetful.goto(`${base}/files/run/sub/`);
  await chosen(forgetful).setInputFiles([file('small.csv', 'small'), { ...file('large.csv', ''), buffer: version(2, 3_000_000) }]);
  await eventually(content('run/sub/small.csv'), 'small', 'a small file');
  await eventually(() => fs.existsSync(join(folder, 'run/sub/large.csv')), true, 'a large file');
  await forgetful.close();
  step('uploads where the browser keeps nothing');

  // Of many files one is refused, and one has changed on the disk since.
  page = await open('/files/run/sub/');
  const many = join(source, 'many');
  fs.mkdirSync(many);
  for (let it = 0; it < 30; it++) fs.writeFileSync(join(many, `${it}.csv`), `file ${it}`);
  put('run/sub/many/7.csv/x', 'a folder has the name');
  await page.locator('#upload input[webkitdirectory]').setInputFiles(many);
  await eventually(() => summary(page).textContent(), '29 of 30 files, 194 B of 200 B; 1 failed; reload the page to see them', 'all but one');
  await page.getByText('a folder has this name').waitFor();
  fs.rmSync(join(folder, 'run/sub/many/7.csv'), { recursive: true });
  await button(page, 'Try again').click();
  await eventually(content('run/sub/many/7.csv'), 'file 7', 'the last of them');
  step('one refused file holds up no other, and can be tried again');

  page = await open('/files/run/sub/');
  const changing = join(source, 'changing.csv');
  fs.writeFileSync(changing, 'first');
  let release;
  await page.route(/\/uploads\?/, async (route) => {
    await new Promise((resolve) => { release = resolve; });
    await route.abort();
  });
  await chosen(page).setInputFiles(changing);
  await eventually(() => typeof release, 'function', 'it is on its way');
  fs.writeFileSync(changing, 'another text');
  release();
  await page.getByText('choose it again').waitFor();
  await page.unroute(/\/uploads\?/);
  step('a file that changed on the disk is not tried for ever');

  // A larger one than the disk, and others behind it.
  page = await open('/files/run/sub/');
  const huge = join(source, 'huge.bin');
  fs.writeFileSync(huge, '');
  fs.truncateSync(huge, 8 * 2 ** 40);
  await chosen(page).setInputFiles([huge, ...Array.from({ length: 9 }, (_, it) => join(many, `${it}.csv`))]);
  await page.getByText('stopped: There is no room').first().waitFor();
  await eventually(async () => /; \d+ failed; stopped/.test(await summary(page).textContent()), true, 'the rest is not tried');
  step(`a full disk: ${await summary(page).textContent()}`);

  // The key is taken away in the middle.
  const before = fs.readFileSync(keys);
  page = await open(`/share/${key}/run/sub/`);
  await page.route(/\/uploads\?/, async (route) => {
    if (route.request().headers()['upload-metadata'].includes(btoa('many/20.csv'))) fs.writeFileSync(keys, 'someone,else-1,write\n');
    await route.continue();
  });
  fs.rmSync(join(folder, 'run/sub/many'), { recursive: true });
  await page.locator('#upload input[webkitdirectory]').setInputFiles(many);
  await page.getByText('stopped: This key is not known').first().waitFor();
  await eventually(() => page.locator('#upload').getAttribute('aria-busy'), 'false', 'nothing is tried for ever');
  const said = await summary(page).textContent();
  fs.writeFileSync(keys, before);
  await page.unroute(/\/uploads\?/);
  await button(page, 'Try again').click();
  await eventually(() => Array.from({ length: 30 }, (_, it) => content(`run/sub/many/${it}.csv`)()).filter(Boolean).length, 30, 'all of them');
  step(`a key that was revoked: ${said}`);
  fs.rmSync(source, { recursive: true, force: true });
}

// ---- All of it ----

await new Promise((resolve) => app.listen(0, '127.0.0.1', resolve));
const profile = fs.mkdtempSync(join(os.tmpdir(), 'chromium-'));
const home = `http://127.0.0.1:${app.address().port}/`;
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  args,
  headless: true,
  acceptDownloads: false,
  // What a person types where the browser asks for it.
  httpCredentials: ['listing', 'scripts', 'uploads', 'troubles'].includes(chapter) ? { username: '', password: key, origin: base } : undefined,
});
try {
  const browser = { newContext: async (options) => {
    const other = await chromium.launch({ executablePath, args, headless: true });
    const context = await other.newContext(options);
    context.close = () => other.close();
    return context;
  } };
  await chapters[chapter](context, home, browser);
  step('done');
} finally {
  await context.close();
  app.close();
  fs.rmSync(profile, { recursive: true, force: true });
}
