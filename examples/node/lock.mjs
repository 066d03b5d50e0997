// Takes addresses out of package-lock.json that npm writes whatever it is told: where to send a package's author
// money. Run by `npm run lock`. Versions and hashes stay.

import { readFileSync, writeFileSync } from 'node:fs'

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
for (const entry of Object.values(lock.packages)) delete entry.funding
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`)
