/** Installs the peers that Debian packages, for `npm run bench -- --install`, without starting a daemon. */
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { PEERS } from './peers/index.mjs'

/** Asked by the packages' scripts whether they may start a service (invoke-rc.d); 101 says no. */
const POLICY = '/usr/sbin/policy-rc.d'

export function installPeers () {
  const packages = PEERS.filter(({ missing, debian }) => debian !== undefined && missing() !== undefined)
    .map(({ debian }) => debian)
  if (packages.length === 0) return
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`
  if (process.getuid?.() !== 0 || spawnSync('which', ['apt-get']).status !== 0) {
    throw new Error(`--install needs root and apt-get; install by hand: ${command}`)
  }
  const isOurs = !existsSync(POLICY)
  if (isOurs) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    const { status } = spawnSync('sh', ['-c', `apt-get update -q >&2 && ${command} >&2`],
      { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
    if (status !== 0) throw new Error(`this failed: ${command}`)
  } finally {
    if (isOurs) rmSync(POLICY)
  }
}
