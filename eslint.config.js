import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', '.tap/**'] }),
  {
    name: 'holdfast',
    rules: {
      '@stylistic/max-len': ['error', { code: 120 }],
      // objects and imports fill their lines, as lists do
      '@stylistic/object-property-newline': 'off',
      '@stylistic/object-curly-newline': 'off',
      // `void promise` says that nobody waits for it
      'no-void': ['error', { allowAsStatement: true }],
      // what a loop waits for changes in callbacks, which the rule does not see
      'no-unmodified-loop-condition': 'off',
      // a loop that returns at once takes the first of a set or a map
      'no-unreachable-loop': ['error', { ignore: ['ForOfStatement'] }],
      // a kind of value is checked against a table of kinds
      'valid-typeof': ['error', { requireStringLiterals: false }],
      // bytes of a protocol are matched by their code
      'no-control-regex': 'off'
    }
  }
]
