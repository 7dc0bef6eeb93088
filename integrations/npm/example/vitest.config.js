export default {
  test: {
    globals: true,
    globalSetup: './vitest.setup.js',
    include: ['tests/**/*.spec.js'],
  },
};
