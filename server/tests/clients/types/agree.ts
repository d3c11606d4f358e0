// What the module is said to be is what it is, and nothing besides. `module.js` is a copy of `sounding.js` under a name
// that no types stand beside, so that the compiler reads the code itself.

import * as written from './module.js';
import type * as told from './sounding.js';

export const all: typeof told = written;
type None<T extends never> = T;
export type Nothing = None<Exclude<keyof typeof written, keyof typeof told>>;
