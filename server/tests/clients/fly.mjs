// A stand-in for Fly's proxy and the machine behind it, as far as a web app can tell: a request starts the machine and
// is held meanwhile, some get a 502 without CORS fields, and when the program exits nothing is routed to it any more.
//
// The machine runs the real server. What a request brings can be sent to it only as long as the proxy has kept it all,
// which are 10 MB.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import { join } from 'node:path';

/** Bytes of a body that are kept until a machine takes them. */
const KEPT = 10_000_000;

/** Random numbers that are the same in each run (mulberry32). */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let it = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    it = (it + Math.imul(it ^ (it >>> 7), 61 | it)) ^ it;
    return ((it ^ (it >>> 14)) >>> 0) / 4294967296;
  };
}

export class Fly {
  /** How often the machine was started, and with what status it ended. */
  starts = 0;
  ends = [];
  /** What came, as `METHOD path`, and the bytes of the longest body. */
  requests = [];
  longest = 0;
  /** How many requests were held, refused with 502, cut off by the proxy, and broken off by the machine. */
  counts = { held: 0, refused: 0, cut: 0, broken: 0 };
  /** How likely a request that has to wait gets 502 instead, and a PATCH is cut off half-way. */
  refuses = 0;
  cuts = 0;
  /** Milliseconds from a request to the program's start. */
  boot = 200;
  /** What the proxy answers in place of starting a machine; nothing where it starts one. */
  out;

  #random;
  #admin;
  #command;
  #machine;
  #running;
  #streams = new Set();
  #server = http.createServer((request, response) => this.#route(request, response));

  constructor(program, args, seed = 1) {
    this.#random = random(seed);
    this.#admin = join(os.tmpdir(), `sounding-web-${process.pid}-${seed}.sock`);
    this.#command = [program, [...args, '--listen', '127.0.0.1:0', '--admin', this.#admin]];
  }

  async open() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.base = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  async close() {
    this.#server.close();
    this.#server.closeAllConnections();
    this.crash();
    await this.#running;
    fs.rmSync(this.#admin, { force: true });
  }

  get isAsleep() {
    return this.#machine === undefined;
  }

  /** How many event streams are open. */
  get streams() {
    return this.#streams.size;
  }

  /** What happens when a host fails. */
  crash() {
    this.#machine?.child?.kill('SIGKILL');
  }

  /** The port of the machine, which is started if there is none. */
  #start() {
    if (!this.#machine) {
      const machine = { child: undefined, port: undefined };
      this.#machine = machine;
      this.starts += 1;
      machine.port = new Promise((resolve) => {
        setTimeout(() => {
          const child = spawn(this.#command[0], this.#command[1], { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH } });
          let [said, log] = ['', ''];
          child.stderr.on('data', (text) => { log += text; });
          child.stdout.on('data', (text) => {
            said += text;
            const port = /listening on http:\/\/.*:(\d+)/.exec(said)?.[1];
            if (port) resolve(Number(port));
          });
          this.#running = new Promise((over) => child.on('exit', (status, signal) => {
            this.#machine = undefined;
            this.ends.push(status ?? signal);
            if (status) console.log(`the server ended with ${status}: ${log}`);
            resolve(undefined);
            over();
          }));
          machine.child = child;
        }, this.boot);
      });
    }
    return this.#machine.port;
  }

  async #route(request, response) {
    this.requests.push(`${request.method} ${request.url}`);
    request.on('error', () => {});
    response.on('error', () => {});
    if (this.out) return this.#refuse(response, this.out);
    const length = Number(request.headers['content-length'] ?? 0);
    this.longest = Math.max(this.longest, length);
    for (let tries = 0; tries < 90 && !response.destroyed; tries++) {
      const waits = !(await this.#isUp());
      if (waits) this.counts.held += 1;
      if (waits && (length > KEPT || this.#random() < this.refuses)) return this.#refuse(response);
      const port = await this.#start();
      const socket = port && await connected(port);
      if (socket) return this.#pass(request, response, socket);
      // It ended just now.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    this.#refuse(response);
  }

  async #isUp() {
    return this.#machine !== undefined && (await Promise.race([this.#machine.port, null])) !== null;
  }

  /** As an edge does, which knows nothing of CORS. */
  #refuse(response, [status, fields] = [502, {}]) {
    this.counts.refused += 1;
    response.writeHead(status, { 'Content-Type': 'text/plain', ...fields }).end('no machine');
  }

  #pass(request, response, socket) {
    const { method, url: path, headers } = request;
    const isCut = method === 'PATCH' && this.#random() < this.cuts;
    const onward = http.request({ method, path, headers, createConnection: () => socket });
    const fail = () => {
      this.counts.broken += 1;
      if (response.headersSent) response.destroy();
      else this.#refuse(response);
    };
    onward.on('error', () => response.destroyed || fail());
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      if (path.startsWith('/events') && method === 'GET') {
        this.#streams.add(response);
        response.on('close', () => this.#streams.delete(response));
      }
      answer.on('error', fail);
      answer.pipe(response);
    });
    response.on('close', () => onward.destroy());
    let bytes = 0;
    const enough = Number(headers['content-length'] ?? 0) / 2;
    request.on('data', (chunk) => {
      bytes += chunk.length;
      onward.write(chunk);
      if (!isCut || bytes < enough) return;
      this.counts.cut += 1;
      request.destroy();
      onward.destroy();
    });
    request.on('end', () => onward.end());
  }
}

/** A connection to a port, or nothing where nobody listens. */
function connected(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}
