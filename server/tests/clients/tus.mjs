// Uploads a file with tus-js-client: node tus.mjs URL KEY FILE PARTS, where PARTS travel side by side.

import { createReadStream } from 'node:fs'
import { createRequire } from 'node:module'
import { basename } from 'node:path'

const require = createRequire(new URL('../../../target/clients/', import.meta.url))
const tus = require('tus-js-client')

const [endpoint, key, path, parts] = process.argv.slice(2)
const upload = new tus.Upload(createReadStream(path), {
  endpoint,
  headers: { Authorization: key },
  metadata: { filename: basename(path) },
  chunkSize: 16 * 1024 * 1024,
  parallelUploads: Number(parts),
  retryDelays: Array(100).fill(200),
  onError: (error) => {
    console.error(String(error))
    process.exit(1)
  },
  onSuccess: () => process.exit(0),
})
upload.start()
