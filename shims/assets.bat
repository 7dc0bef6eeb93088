@echo off
rem Finds `assets.exe` and runs it: `eng\common\testproxy\assets restore`.
rem
rem Values stand in quotes wherever cmd would act on a special character in them, and are never handed to `call`,
rem which would expand percent signs and double carets once more. Only `.exe` files count: a script would parse the
rem arguments a second time, and so no copy of this file can be taken for the program.
setlocal EnableExtensions DisableDelayedExpansion
goto start

rem Called, because dp0 is wrong outside of a called label when the shim was found on PATH by a name in quotes.
:find_home
set "shim_home=%~dp0"
exit /b

rem Sets shim_exe to the program in the directory shim_dir, if it has none yet.
:look
if defined shim_exe exit /b
if not defined shim_dir exit /b
for %%I in ("%shim_dir%\.") do set "shim_dir=%%~fI"
if /i "%shim_dir%"=="%shim_start%" exit /b
if exist "%shim_dir%\assets.exe" if not exist "%shim_dir%\assets.exe\*" set "shim_exe=%shim_dir%\assets.exe"
exit /b

:start
rem 1. ASSETS_EXE
if not defined ASSETS_EXE goto repo
set "shim_exe=%ASSETS_EXE:"=%"
if not exist "%shim_exe%" goto bad_exe
if exist "%shim_exe%\*" goto bad_exe
if /i not "%shim_exe:~-4%"==".exe" goto bad_exe
rem A bare name would be searched on PATH.
for %%I in ("%shim_exe%") do set "shim_exe=%%~fI"
goto run

rem 2. the code repo
:repo
call :find_home
for %%I in ("%shim_home%.") do set "shim_root=%%~fI"
set "shim_start=%shim_root%"
:up
if exist "%shim_root%\.git" goto root
for %%I in ("%shim_root%\..") do set "shim_up=%%~fI"
if /i "%shim_up%"=="%shim_root%" goto no_root
set "shim_root=%shim_up%"
goto up
:no_root
set "shim_tools=.tools\assets\assets.exe in a code repo, but nothing above %shim_start% holds .git"
goto path
:root
set "shim_tools=%shim_root%\.tools\assets\assets.exe"
set "shim_exe=%shim_tools%"
if not exist "%shim_exe%" goto path
if not exist "%shim_exe%\*" goto run

rem 3. PATH, without the directory of this file
:path
set "shim_exe="
set "shim_path="
if not defined PATH goto cargo
set "shim_path=%PATH:"=%"
if not defined shim_path goto cargo
for %%P in ("%shim_path:;=" "%") do (
    set "shim_dir=%%~P"
    call :look
)
if defined shim_exe goto run

rem 4. cargo
:cargo
set "shim_cargo="
if defined USERPROFILE set "shim_cargo=%USERPROFILE%\.cargo"
if defined CARGO_HOME set "shim_cargo=%CARGO_HOME%"
if not defined shim_cargo goto lost
set "shim_cargo=%shim_cargo%\bin\assets.exe"
set "shim_exe=%shim_cargo%"
if not exist "%shim_exe%" goto lost
if not exist "%shim_exe%\*" goto run

:lost
if not defined shim_cargo set "shim_cargo=cargo's bin directory, but neither CARGO_HOME nor USERPROFILE is set"
>&2 echo error: cannot find the `assets` program
>&2 echo   searched: `ASSETS_EXE`, which is not set
>&2 echo             "%shim_tools%"
>&2 echo             `PATH`, which is "%shim_path%"
>&2 echo             "%shim_cargo%"
>&2 echo hint: install it with `cargo install assets-sync --locked`
>&2 echo hint: or put the binary into `.tools\assets\` at the root of the code repo
>&2 echo hint: or set `ASSETS_EXE` to its path
exit /b 127

:bad_exe
>&2 echo error: `ASSETS_EXE` is "%shim_exe%", which is not an .exe file
>&2 echo hint: set it to the path of `assets.exe`, or unset it
exit /b 127

rem The program comes last, with no exit command after it: so a conditional chain that calls the shim without `call`
rem sees the exit code as well.
:run
set "shim_path="
"%shim_exe%" %*
