// `sounding.js` in Chromium, on a page of another origin, while the server behind a stand-in for Fly's proxy sleeps and
// wakes. Prints a line for each step.
//
// node web.mjs INSTALLED CHROMIUM SERVER ROOT CHAPTER: SERVER is the program, ROOT where the sources lie.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { Fly } from './fly.mjs';

const [installed, executable, program, root, chapter] = process.argv.slice(2);
const { chromium } = createRequire(`${installed}/`)('playwright-core');

const KEY = 'kmt-covers-everything';
/** Milliseconds that a look may take to come true. */
const DEADLINE = 60_000;

const temporary = fs.mkdtempSync(join(os.tmpdir(), 'web-'));

/** A volume, and a proxy and a machine over it, which sleeps after a second or so. */
async function site(number) {
  const folder = join(temporary, `volume-${number}`);
  const path = (name) => join(folder, name);
  /** A file with its folders, which is never there in part. */
  const put = (name, content) => {
    const fresh = join(temporary, `new-${number}`);
    fs.mkdirSync(dirname(path(name)), { recursive: true });
    fs.writeFileSync(fresh, content);
    fs.renameSync(fresh, path(name));
  };
  put('.sounding/auth-keys.csv', `kmt,${KEY},write\n`);
  const edge = await new Fly(program, ['--volume', folder, '--idle-exit', '1'], number).open();
  return { edge, put, path, hash: (name) => sha(fs.readFileSync(path(name))) };
}

function step(text) {
  console.log(`${chapter}: ${text}`);
}

/** Waits until `look` finds what is true. */
async function eventually(look, what) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `${typeof what === 'string' ? what : what()} did not come about`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What is watched for does not come about for a while. */
async function never(look, millis, what) {
  const end = Date.now() + millis;
  while (Date.now() < end) {
    assert.ok(!(await look()), what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const sha = (content) => createHash('sha256').update(content).digest('hex');

/** Bytes of which no two places look alike; the page makes the same. */
function bytesOf(seed, length) {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let at = 0, it = seed + 1; at < words.length; at++) {
    it ^= it << 13;
    it ^= it >>> 17;
    it ^= it << 5;
    words[at] = it;
  }
  return new Uint8Array(words.buffer, 0, length);
}

// ---- The app on another origin ----

const home = http.createServer((request, response) => {
  const files = {
    '/': ['text/html', '<!doctype html><title>an app</title><link rel="icon" href="data:,"><body style="height: 100vh">'],
    '/sounding.js': ['text/javascript', fs.readFileSync(join(root, 'server/src/web/sounding.js'))],
  };
  const [type, content] = files[request.url] ?? [];
  response.writeHead(type ? 200 : 404, { 'Content-Type': type ?? 'text/plain', 'Cache-Control': 'no-store' }).end(content);
});

/** Opens the app in a window of its own, where no other tab hides it, with `server` connected, what is said to people in `said`, and the feed in `told` once it is followed. */
async function open(context, base, key = KEY) {
  const address = `http://127.0.0.1:${home.address().port}/`;
  const session = await context.browser().newBrowserCDPSession();
  const { targetId } = await session.send('Target.createTarget', { url: address, newWindow: true });
  await session.detach();
  const page = await eventually(() => pageOf(context, targetId), 'a window');
  page.on('pageerror', (error) => console.log(`in the page: ${error}`));
  await page.waitForURL(address);
  await page.evaluate(`window.bytesOf = ${bytesOf}`);
  await page.evaluate(async ([base, key]) => {
    window.sounding = await import('/sounding.js');
    window.said = [];
    window.told = [];
    window.server = sounding.connect(base, { key, waking: (text) => said.push(text) });
    window.sha = async (bytes) => [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].map((it) => it.toString(16).padStart(2, '0')).join('');
    window.follow = (options) => {
      window.stop = new AbortController();
      window.following = server.changes((change) => told.push(change), { ...options, signal: stop.signal });
    };
  }, [base, key]);
  return page;
}

async function pageOf(context, target) {
  for (const page of context.pages()) {
    const session = await context.newCDPSession(page);
    const { targetInfo } = await session.send('Target.getTargetInfo');
    await session.detach();
    if (targetInfo.targetId === target) return page;
  }
}

const told = (page) => page.evaluate(() => told.map((it) => (it.kind === 'fresh' ? 'fresh' : `${it.kind} ${it.path}`)));

const chapters = { calls, rounds, attention, example };

// ---- Each call, with the server awake ----

async function calls(context) {
  const { edge, put, hash } = await site(1);
  const content = bytesOf(1, 300_000);
  put('run/noise.bin', content);
  put('run/K\u00f6ln & #1 (50%)/it.0?.txt', 'hello');
  put('run/data.json', '{"a": [1, 2]}');
  put('run/data.json.gz', gzipSync('{"packed": true}'));
  put('run/trips.csv.gz', gzipSync('person;mode;note\r\n1;car;"a ""b"";\r\nc"\r\n2;;\r\n'));
  put('run/table.csv', '\ufeffx,y\n1,"2, 3"\n4,');
  put('run/none.csv', '');
  put('run/odd.csv', '"a,1"\t"b"\n\n5" pipe\t"6"" pipe"\n"open\t7');
  for (let it = 0; it < 25; it++) put(`run/many/${it}.txt`, 'x');
  for (let it = 0; it < 3; it++) put(`run/many/sub ${it}/x`, 'x');
  put('public/open.txt', 'for anyone');
  const page = await open(context, edge.base);
  const call = (name, ...args) => page.evaluate(async ([name, args]) => {
    try {
      return { value: await server[name](...args) };
    } catch (error) {
      return { is: error.name, status: error.status, type: error.type, message: error.message, isOurs: error instanceof sounding.SoundingError };
    }
  }, [name, args]);
  const value = async (...args) => {
    const outcome = await call(...args);
    assert.ok('value' in outcome, JSON.stringify(outcome));
    return outcome.value;
  };

  const parts = await page.evaluate(async () => {
    const hash = async (range) => [...new Uint8Array(await server.bytes('run/noise.bin', { range }))].join();
    const answer = await server.fetch('run/noise.bin', { range: [5, 9] });
    const [first, open, last] = [await hash([5, 9]), await hash([299_990]), await hash([-3])];
    return [answer.status, answer.headers.get('Content-Range'), first, open, last, await sha(await server.bytes('/run/noise.bin'))];
  });
  const list = (from, to) => [...content.slice(from, to)].join();
  assert.deepEqual(parts, [206, 'bytes 5-9/300000', list(5, 10), list(299_990), list(299_997), sha(content)]);
  step('bytes, whole and in part');

  const head = await page.evaluate(async () => {
    const answer = await server.fetch('run/noise.bin', { method: 'HEAD' });
    const etag = answer.headers.get('ETag');
    return [answer.status, answer.headers.get('Content-Length'), (await server.fetch('run/noise.bin', { headers: { 'If-None-Match': etag }, cache: 'no-store' })).status];
  });
  assert.deepEqual(head, [200, '300000', 304]);
  assert.equal(await value('text', 'run/K\u00f6ln & #1 (50%)/it.0?.txt'), 'hello');
  assert.deepEqual(await value('json', 'run/data.json'), { a: [1, 2] });
  assert.deepEqual(await value('json', 'run/data.json.gz'), { packed: true });
  assert.deepEqual(await value('csv', 'run/trips.csv.gz'), [
    { person: '1', mode: 'car', note: 'a "b";\r\nc' },
    { person: '2', mode: '', note: '' },
  ]);
  assert.deepEqual(await value('csv', 'run/table.csv'), [{ x: '1', y: '2, 3' }, { x: '4', y: '' }]);
  assert.deepEqual(await value('csv', 'run/none.csv'), []);
  assert.deepEqual(await value('csv', 'run/odd.csv'), [{ 'a,1': '5" pipe', b: '6" pipe' }, { 'a,1': '"open', b: '7' }]);
  step('heads, text, JSON and tables, packed or not');

  const listing = await page.evaluate(async () => {
    const all = await server.list('run/many', { limit: 10 });
    const some = await server.list('run/many/', { filter: 'SUB' });
    const below = await server.list((await server.list('run', { filter: 'k\u00f6ln' }))[0].url);
    const first = [];
    for await (const entry of server.entries('run/many', { limit: 2 })) {
      first.push(entry.name);
      if (first.length === 3) break;
    }
    return [all.map((it) => it.name), some.length, below[0].name, await server.text(below[0].url), first];
  });
  const names = [0, 1, 2].map((it) => `sub ${it}`).concat([...Array(25).keys()].map((it) => `${it}.txt`));
  assert.deepEqual(listing, [names, 3, 'it.0?.txt', 'hello', names.slice(0, 3)]);
  const pages = (limit) => edge.requests.filter((it) => it.startsWith('GET') && new URLSearchParams(it.split('?')[1]).get('limit') === limit).length;
  assert.deepEqual([pages('10'), pages('2')], [3, 2]);
  step('listings, a page at a time and no page more than is wanted');

  const lists = () => edge.requests.filter((it) => it.startsWith('GET') && it.includes('/files/run/many/?format=json')).length;
  const listed = lists();
  assert.equal(await page.evaluate(() => server.list('run/many').then((all) => all.length)), names.length);
  assert.equal(lists() - listed, 1);
  step('a list that is asked for as a whole, in one request');

  const folders = await page.evaluate(() => Promise.all(['text', 'csv', 'bytes', 'fetch'].flatMap((call) => ['run/many', 'run/many/'].map(
    (path) => server[call](path).then(() => null, (error) => `${error.name} ${error.type}: ${error.message.includes('list()')}`)))));
  assert.deepEqual(folders, Array(8).fill('SoundingError is-folder: true'));
  const nameless = await page.evaluate(() => Promise.all([{}, { path: 'run/' }].map(
    (options) => server.upload(new Blob(['x']), options).then(() => null, (error) => `${error.name}: ${/has no name/.test(error.message)}`))));
  assert.deepEqual(nameless, Array(2).fill('TypeError: true'));
  step('folders that are no files, and files without a name');

  const stranger = await open(context, `${edge.base}/`, '');
  assert.equal(await stranger.evaluate(() => server.text('public/open.txt')), 'for anyone');
  const refused = (page, path) => page.evaluate((path) => server.fetch(path).then(() => null, (error) => [error.name, error.status, error.type, error.message, error instanceof sounding.SoundingError]), path);
  const [name, status, type, message, isOurs] = await refused(stranger, 'run/noise.bin');
  assert.deepEqual([name, status, type, isOurs], ['AccessError', 401, 'key-needed', true]);
  assert.match(message, /^Send your key/);
  const wrong = await open(context, edge.base, 'w\u00f6rng \u20ac');
  assert.deepEqual((await refused(wrong, 'run/noise.bin')).slice(0, 3), ['AccessError', 401, 'unknown-key']);
  assert.deepEqual((await refused(page, 'run/nothing')).slice(0, 3), ['NotFoundError', 404, 'not-found']);
  const before = edge.requests.length;
  for (const path of ['../health', 'a/../../health']) assert.equal((await call('fetch', path)).is, 'TypeError', path);
  assert.equal(await page.evaluate(() => server.fetch(new URL('https://other.example/files/x')).catch((it) => it.name)), 'TypeError');
  assert.equal((await call('fetch', 'run/noise.bin', { method: 'DELETE' })).is, 'TypeError');
  const aborted = await page.evaluate(() => {
    const reasons = [AbortSignal.abort('first'), AbortSignal.timeout(1)];
    const calls = (signal) => [server.bytes('run/noise.bin', { signal }), server.list('run', { signal }), server.wake({ signal }), server.upload(new Blob(['x']), { path: 'run/x', signal })];
    return Promise.all(calls(reasons[0]).map((it) => it.then(() => 'came', (reason) => reason)));
  });
  assert.deepEqual(aborted, Array(4).fill('first'));
  assert.deepEqual(edge.requests.slice(before).filter((it) => !it.includes('/health')), []);
  step('what is refused, and in which words; no key goes to another server');

  await uploads(page, hash);
  // So many a proxy can send again.
  assert.ok(edge.longest > 200_000 && edge.longest < 10_000_000, String(edge.longest));
  const imported = await page.evaluate(async (base) => {
    const { connect } = await import(`${base}/sounding.js`);
    return connect(base).text('public/open.txt');
  }, edge.base);
  assert.equal(imported, 'for anyone');
  step('the module imported from the server itself');
  await edge.close();
}

async function uploads(page, hash) {
  const upload = (seed, length, name, options) => page.evaluate(async ([seed, length, name, options]) => {
    const [file, steps] = [new File([bytesOf(seed, length)], name, { lastModified: seed }), []];
    try {
      const { url } = await server.upload(file, { ...options, progress: (sent, size) => steps.push([sent, size]) });
      return { path: url.pathname, steps, kept: Object.keys(localStorage).filter((it) => it.startsWith('sounding:')).length };
    } catch (error) {
      return { is: error.name, type: error.type };
    }
  }, [seed, length, name, options]);

  const first = await upload(2, 3_000_000, 'gr\u00f6\u00dfe.bin', { path: 'new/folder/' });
  assert.equal(first.path, `/files/new/folder/${encodeURIComponent('gr\u00f6\u00dfe.bin')}`);
  assert.equal(hash('new/folder/gr\u00f6\u00dfe.bin'), sha(bytesOf(2, 3_000_000)));
  assert.deepEqual([first.steps[0], first.steps.at(-1), first.kept], [[0, 3_000_000], [3_000_000, 3_000_000], 0]);
  assert.ok(first.steps.length > 3, 'progress is told on the way');
  assert.ok(first.steps.every(([sent], at) => at === 0 || sent >= first.steps[at - 1][0]), 'and only forwards');
  assert.deepEqual(await upload(3, 10, 'gr\u00f6\u00dfe.bin', { path: 'new/folder/' }), { is: 'SoundingError', type: 'exists' });
  const both = await upload(3, 10, 'gr\u00f6\u00dfe.bin', { path: 'new/folder/', exists: 'keep-both' });
  assert.equal(decodeURIComponent(both.path), '/files/new/folder/gr\u00f6\u00dfe (2).bin');
  assert.equal((await upload(4, 20, '', { path: 'new/plain', exists: 'replace' })).path, '/files/new/plain');
  assert.equal((await upload(5, 0, 'empty', {})).path, '/files/empty');
  assert.equal(hash('empty'), sha(''));
  await upload(6, 40_000_000, 'large.bin', {});
  assert.equal(hash('large.bin'), sha(bytesOf(6, 40_000_000)));
  step('uploads in pieces, and what becomes of a name that is taken');
}

// ---- Rounds of sleep and wake ----

/** Two machines side by side, each with its own app, and how often each has to fall asleep by itself. */
const SIDES = [2, 3], ROUNDS = 25;
/** Bytes of the upload that takes two rounds. */
const BIG = 12_000_000;

async function rounds(context) {
  const sums = await Promise.all(SIDES.map((number) => side(context, number)));
  const sum = (name) => sums.reduce((all, it) => all + it[name], 0);
  for (const name of ['held', 'refused', 'cut', 'crashes', 'resumed']) assert.ok(sum(name) >= 5, `${name}: ${JSON.stringify(sums)}`);
  step(`${sum('sleeps')} rounds of sleep: ${sum('calls')} calls and none failed, ${sum('files')} files told once each`);
  step(`on the way ${sum('held')} requests were held, ${sum('refused')} got 502, ${sum('cut')} uploads were cut off and ${sum('resumed')} taken up after a sleep, ${sum('crashes')} machines failed`);
}

async function side(context, number) {
  const { edge, put, hash } = await site(number);
  const noise = bytesOf(1, 200_000);
  put('run/noise.bin', noise);
  put('run/network.geojson', JSON.stringify({ features: Array.from({ length: 500 }, (_, id) => ({ id })) }));
  put('run/trips.csv.gz', gzipSync(`person;mode\n${Array.from({ length: 1000 }, (_, it) => `${it};car`).join('\n')}\n`));
  for (let it = 0; it < 45; it++) put(`run/many/${it}.txt`, `number ${it}`);
  put('rounds/first.csv', 'x');
  edge.refuses = 0.25;
  edge.cuts = 0.2;
  const page = await open(context, edge.base, KEY);
  await page.evaluate(() => follow({ path: 'rounds' }));
  await eventually(async () => (await told(page)).length, 'the first word of the feed');

  const expected = [];
  const sleeps = () => edge.ends.filter((it) => it === 0).length;
  let calls = 0, resumed = 0;
  for (let round = 0; sleeps() < ROUNDS; round++) {
    await eventually(() => edge.isAsleep, () => `sleep before round ${round}`);
    // One file comes while the machine sleeps, one while it is awake, and one by upload.
    put(`rounds/asleep-${round}.csv`, `round ${round}`);
    // Sometimes the host fails in the midst of it.
    if (round % 8 === 7) setTimeout(() => edge.crash(), 400);
    const outcome = await page.evaluate(useAll, { round, big: BIG });
    put(`rounds/awake-${round}.csv`, `round ${round}`);
    assert.deepEqual(outcome.failed, [], `round ${round}: ${JSON.stringify(edge.counts)}`);
    calls += outcome.calls;
    const [first, last] = [round * 100, round * 100 + 99];
    assert.deepEqual(outcome.results, {
      whole: sha(noise),
      part: sha(noise.slice(first, last + 1)),
      tail: sha(noise.slice(-50)),
      list: 45,
      csv: [1000, 'car'],
      json: 500,
      text: `number ${round % 45}`,
      head: '200000',
      upload: `/files/rounds/up-${round}.bin`,
      ...(round % 5 === 1 && { big: `/files/rounds/big-${round - 1}.bin` }),
    }, `round ${round}`);
    assert.equal(hash(`rounds/up-${round}.bin`), sha(bytesOf(round, 700_000)), `the upload of round ${round}`);
    expected.push(`rounds/asleep-${round}.csv`, `rounds/awake-${round}.csv`, `rounds/up-${round}.bin`);
    if (outcome.results.big) {
      assert.equal(hash(`rounds/big-${round - 1}.bin`), sha(bytesOf(round - 1, BIG)));
      expected.push(`rounds/big-${round - 1}.bin`);
      assert.ok(outcome.begunAt > 0, 'it went on where it was left');
      resumed += 1;
    }
  }
  // The feed says what it has missed while the page is used: of a file that has just come, the server waits for the end.
  const added = async () => {
    await page.evaluate(() => server.text('run/many/0.txt', { cache: 'no-store' }));
    return (await told(page)).filter((it) => it.startsWith('added rounds/'));
  };
  await eventually(async () => (await added()).length >= expected.length, () => `all ${expected.length} in the feed`);
  assert.deepEqual((await added()).map((it) => it.slice('added '.length)).sort(), expected.sort());
  assert.equal((await told(page)).filter((it) => it === 'fresh').length, 1, 'fresh is told at the start only');
  const crashes = edge.ends.filter((it) => it === 'SIGKILL').length;
  assert.equal(sleeps() + crashes, edge.ends.length, String(edge.ends));
  await page.evaluate(() => stop.abort());
  assert.equal(await page.evaluate(() => following), undefined);
  await edge.close();
  return { ...edge.counts, calls, resumed, crashes, files: expected.length, sleeps: sleeps() };
}

/** Runs in the page: all that an app may want, at once and of a server that sleeps. */
async function useAll({ round, big }) {
  const [results, failed] = [{}, []];
  let begunAt;
  const length = (answer) => answer.headers.get('Content-Length');
  const file = (seed, size, name) => new File([bytesOf(seed, size)], name, { lastModified: seed });
  const calls = {
    whole: async () => sha(await server.bytes('run/noise.bin', { cache: 'no-store' })),
    part: async () => sha(await server.bytes('run/noise.bin', { range: [round * 100, round * 100 + 99] })),
    tail: async () => sha(await server.bytes('run/noise.bin', { range: [-50] })),
    list: async () => (await server.list('run/many', { limit: 20 })).length,
    csv: async () => server.csv('run/trips.csv.gz').then((rows) => [rows.length, rows.at(-1).mode]),
    json: async () => (await server.json('run/network.geojson')).features.length,
    text: async () => server.text(`run/many/${round % 45}.txt`),
    head: async () => length(await server.fetch('run/noise.bin', { method: 'HEAD' })),
    upload: async () => (await server.upload(file(round, 700_000, `up-${round}.bin`), { path: 'rounds/' })).url.pathname,
  };
  // Every fifth round begins a big upload and leaves it half-way; the next one goes on with it.
  if (round % 5 === 0) {
    calls.big = async () => {
      const enough = new AbortController();
      const progress = (sent, size) => sent > size / 4 && enough.abort('enough');
      const reason = await server.upload(file(round, big, `big-${round}.bin`), { path: 'rounds/', progress, signal: enough.signal }).catch((it) => it);
      if (reason !== 'enough') throw reason;
    };
  }
  if (round % 5 === 1) {
    const progress = (sent) => { begunAt ??= sent; };
    calls.big = async () => (await server.upload(file(round - 1, big, `big-${round - 1}.bin`), { path: 'rounds/', progress })).url.pathname;
  }
  await Promise.all(Object.entries(calls).map(async ([name, call]) => {
    try {
      const result = await call();
      if (result !== undefined) results[name] = result;
    } catch (error) {
      failed.push(`${name}: ${error?.name} ${error?.status} ${error?.message}, because of ${error?.cause}`);
    }
  }));
  return { results, failed, calls: Object.keys(calls).length, begunAt };
}

// ---- Who keeps it awake, and who wakes it ----

async function attention(context) {
  const { edge, put } = await site(4);
  put('run/noise.bin', bytesOf(1, 1000));
  const asleep = () => eventually(() => edge.isAsleep && edge.streams === 0, 'sleep');

  /** Somebody stays at the page: after a second the server sleeps again, even where it has not looked around yet. */
  const untilTold = (line, what) => eventually(async () => {
    await page.mouse.move(100 + 100 * Math.random(), 100);
    return (await told(page)).includes(line);
  }, what);

  // Many calls of a cold app: one look at the health, and nothing before its answer.
  let page = await open(context, edge.base);
  const lengths = await page.evaluate(() => Promise.all(Array.from({ length: 8 }, async () => (await server.bytes('run/noise.bin')).byteLength)));
  assert.deepEqual(lengths, Array(8).fill(1000));
  assert.equal(edge.requests.filter((it) => it === 'GET /health').length, 1, String(edge.requests));
  assert.equal(edge.requests[0], 'GET /health');
  assert.deepEqual([edge.starts, edge.counts.held], [1, 1]);
  step('8 calls at once on a cold app are one wake');

  // A page that follows changes and is left alone, in sight.
  await page.evaluate(() => follow());
  await eventually(() => edge.streams === 1, 'a stream');
  await asleep();
  let starts = edge.starts;
  put('run/missed-1.csv', 'x');
  await never(() => edge.starts > starts, 3000, 'the feed wakes nobody');
  step('an open page lets the machine sleep, and does not wake it');
  await page.mouse.move(100, 100);
  await eventually(() => edge.starts === starts + 1, 'a start');
  await untilTold('added run/missed-1.csv', 'what was missed');
  step('a hand on the mouse does, and the feed tells what was missed');

  // Behind another tab, while somebody's download keeps the machine awake.
  put('run/large.bin', new Uint8Array(50_000_000));
  const download = await fetch(`${edge.base}/files/run/large.bin`, { headers: { Authorization: KEY } });
  // In the window that was used last.
  const other = await context.newPage();
  await eventually(() => page.evaluate(() => document.visibilityState === 'hidden'), 'a hidden tab');
  const since = Date.now();
  await eventually(() => edge.streams === 0, 'the end of the stream');
  assert.ok(!edge.isAsleep && Date.now() - since < 10_000, 'the page ended it, and at once');
  await download.body.cancel();
  await asleep();
  starts = edge.starts;
  const before = edge.requests.length;
  put('run/missed-2.csv', 'x');
  // Somebody else wakes it, and it goes to sleep again.
  await fetch(`${edge.base}/files/run/noise.bin`, { headers: { Authorization: KEY } });
  await asleep();
  await never(() => edge.starts > starts + 1, 2000, 'a hidden page wakes nobody');
  assert.deepEqual(edge.requests.slice(before), ['GET /files/run/noise.bin']);
  step('a hidden tab asks for nothing, awake or not');
  starts = edge.starts;
  await page.bringToFront();
  await eventually(() => edge.starts === starts + 1, 'a start');
  await untilTold('added run/missed-2.csv', 'what was missed');
  const once = ['fresh', 'added run/missed-1.csv', 'added run/large.bin', 'added run/missed-2.csv'];
  assert.deepEqual((await told(page)).sort(), once.sort());
  step('brought to the front it tells what was missed, once');

  // A line that breaks is taken up again while somebody is there, and the key can be taken away.
  await page.mouse.move(150, 100);
  await eventually(() => edge.streams === 1, 'a stream');
  starts = edge.starts;
  edge.crash();
  await eventually(() => edge.streams === 1 && edge.starts === starts + 1, 'the stream again');
  put('run/seen.csv', 'x');
  await untilTold('added run/seen.csv', 'what comes after a break');
  put('.sounding/auth-keys.csv', `kmt,another-key\n`);
  put('run/unseen.csv', 'x');
  await page.mouse.move(200, 200);
  assert.deepEqual(await page.evaluate(() => following.catch((error) => [error.name, error.type])), ['AccessError', 'unknown-key']);
  step('it goes on after a crash, and says so when its key was taken away');
  await page.close();
  await other.close();

  // What is said to people, and when it is given up: by the page's clock, which is set forward by hand.
  page = await open(context, edge.base, '');
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(1_000_000);
  edge.out = [503, { 'Access-Control-Allow-Origin': '*', 'Access-Control-Expose-Headers': 'Retry-After', 'Retry-After': '30' }];
  const asked = () => edge.requests.filter((it) => it === 'GET /health').length;
  const health = asked();
  await page.evaluate(() => { window.waking = server.wake().then(() => 'awake', (error) => `${error.name}: ${error.message}`); });
  await eventually(() => asked() === health + 1, 'a look at the health');
  await page.clock.runFor(900);
  assert.deepEqual(await page.evaluate(() => said), []);
  await page.clock.runFor(28_000);
  assert.deepEqual(await page.evaluate(() => said), ['waking the server\u2026']);
  assert.equal(asked(), health + 1, 'not before Retry-After');
  edge.out = [502, {}];
  await page.clock.runFor(2_000);
  await eventually(() => asked() > health + 1, 'another look');
  await eventually(async () => {
    await page.clock.runFor(1_000);
    return page.evaluate(() => Promise.race([waking, null]));
  }, 'an end');
  assert.match(await page.evaluate(() => waking), /^UnreachableError: The server did not wake up/);
  assert.deepEqual(await page.evaluate(() => said), ['waking the server\u2026', '']);
  assert.ok(asked() < health + 20, 'with pauses in between');
  edge.out = undefined;
  assert.equal(await page.evaluate(() => server.wake()), undefined);
  step('it says that it wakes the server after a second, heeds Retry-After, and gives up after a minute');
  await edge.close();
}

// ---- The page in examples/ ----

async function example(context) {
  const { edge, path } = await site(5);
  const run = join(root, 'examples/volume/riverton-1pct');
  /** The example run under another name, which appears at once. */
  const arrive = (name, change = (text) => text) => {
    const fresh = join(temporary, name);
    fs.cpSync(run, fresh, { recursive: true });
    const network = join(fresh, 'output_network.geojson');
    fs.writeFileSync(network, change(fs.readFileSync(network, 'utf8')));
    fs.renameSync(fresh, path(name));
  };
  arrive('monday');
  const args = ['-u', '-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', join(root, 'examples/web')];
  const static_ = spawn('python3', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let said = '';
  static_.stdout.on('data', (text) => { said += text; });
  try {
    const port = await eventually(() => / port (\d+)/.exec(said)?.[1], 'a server for the page');
    edge.boot = 2500;
    const page = await context.newPage();
    const complaints = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (it) => it.type() === 'error' && complaints.push(it.text()));
    await page.goto(`http://127.0.0.1:${port}/#${new URLSearchParams({ server: edge.base, key: KEY })}`);
    await page.getByText('waking the server\u2026').waitFor();
    const title = async (text) => eventually(async () => (await page.locator('#map h2').textContent()) === text, text);
    await title('monday');
    const shown = () => page.evaluate(() => [document.querySelector('#note').textContent, document.querySelectorAll('#map path').length, document.querySelectorAll('#modes path').length]);
    const links = JSON.parse(fs.readFileSync(join(run, 'output_network.geojson'), 'utf8')).features.length;
    await eventually(async () => (await shown()).join() === ['', links, 5].join(), `all ${links} streets`);
    step('says that it wakes the server, then draws the newest run');
    edge.boot = 200;
    await eventually(() => edge.isAsleep, 'sleep');
    arrive('tuesday', (text) => text.replace(/"volume":\d+/, '"volume":99999'));
    await page.mouse.move(50, 400);
    await title('tuesday');
    await page.getByText('99,999').waitFor();
    assert.deepEqual(await page.locator('nav strong').allTextContents(), ['tuesday', 'monday']);
    step('a run that came while the server slept is shown when somebody looks');
    await page.getByRole('button', { name: 'monday' }).click();
    await title('monday');
    await page.locator('input[name=key]').fill('wrong');
    await page.getByRole('button', { name: 'Connect' }).click();
    await page.getByText('This key is not known').waitFor();
    assert.deepEqual(complaints.filter((it) => !/status of 401/.test(it)), []);
    step('an older run can be chosen, and a wrong key is told');
  } finally {
    static_.kill();
  }
  await edge.close();
}

// ---- All of it ----

/** Without Playwright's own settings, by which a page is never hidden. */
async function browser() {
  const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', '--remote-debugging-port=0', `--user-data-dir=${join(temporary, 'profile')}`, 'about:blank'];
  const child = spawn(executable, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  let log = '';
  child.stderr.on('data', (text) => { log += text; });
  const address = await eventually(() => /DevTools listening on (ws:\S+)/.exec(log)?.[1], () => `a browser: ${log}`);
  const connected = await chromium.connectOverCDP(address, { noDefaults: true });
  const close = async () => {
    const session = await connected.newBrowserCDPSession();
    await session.send('Browser.close').catch(() => {});
    await ended;
  };
  return { context: connected.contexts()[0], close };
}

await new Promise((resolve) => home.listen(0, '127.0.0.1', resolve));
const { context, close } = await browser();
try {
  await chapters[chapter](context);
  step('done');
} finally {
  await close();
  home.close();
  home.closeAllConnections();
  fs.rmSync(temporary, { recursive: true, force: true });
}
