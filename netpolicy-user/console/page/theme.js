// Before the page is drawn: the theme that was chosen, if one was.
try {
  const theme = localStorage.getItem("netpolicy-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's theme is used.
}
