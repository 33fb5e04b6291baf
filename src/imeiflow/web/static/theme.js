// Runs before anything is drawn, so that a dark page does not flash white: the choice is in a cookie that the server
// reads too; this only follows it when the page comes from a cache.
(() => {
  const found = document.cookie.match(/(?:^|; )theme=(light|dark)/);
  if (found) document.documentElement.dataset.theme = found[1];
})();
