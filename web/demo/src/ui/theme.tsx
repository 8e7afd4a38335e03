import { useEffect, useState } from "react";

type Theme = "light" | "dark";
const KEY = "orbit:demo:theme";

const asked = (): Theme | null => {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : null;
  } catch {
    return null; // storage is forbidden: the system's choice, each time
  }
};
const system = (): Theme => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

export function ThemeToggle() {
  const [theme, setTheme] = useState<Theme | null>(asked);
  useEffect(() => {
    if (theme) document.documentElement.dataset.theme = theme;
    try {
      if (theme) localStorage.setItem(KEY, theme);
    } catch {
      // It holds for this page.
    }
  }, [theme]);
  const isDark = (theme ?? system()) === "dark";
  return (
    <button type="button" className="quiet" onClick={() => setTheme(isDark ? "light" : "dark")}>
      {isDark ? "Light" : "Dark"}
    </button>
  );
}
