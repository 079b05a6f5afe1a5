/** What a fleet's topics are to its pages, and what pages may send to devices: rules, with a function where one is. */
export default {
  namespaces: [
    { match: '/fleet', subscribe: ['fleet/+/telemetry', 'fleet/+/alarm'] },
    { match: '*', allow: false }
  ],
  emit: [
    {
      // as JSON, without an envelope: devices know nothing of Socket.IO
      event: 'command',
      run ({ args: [device, command], level }) {
        if (!['lock', 'unlock', 'locate'].includes(command?.do)) return { refuse: `no command ${command?.do}` }
        return { topic: `fleet/${level(String(device))}/command`, payload: 'json', value: command, id: command.id }
      }
    },
    { event: '*', refuse: 'pages send nothing but commands' }
  ],
  deliver: [
    // five bytes: battery in percent, latitude and longitude in hundredths of a degree
    {
      topic: 'fleet/{device}/telemetry',
      payload: 'bytes',
      run ({ captured: { device }, payload }) {
        const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
        if (view.byteLength !== 5) return { ignore: true }
        const position = [view.getInt16(1) / 100, view.getInt16(3) / 100]
        return { event: 'telemetry', args: [device, { battery: view.getUint8(0), position }] }
      }
    },
    { topic: 'fleet/{device}/alarm', payload: 'text', event: 'alarm', args: ['{device}', '{payload}'] }
  ],
  defaults: false
}
