package calendar_test

import (
	"fmt"
	"time"

	"salescast/pkg/calendar"
)

func ExampleFrequency() {
	weekly, _, err := calendar.ParseFrequency("W-MON")
	if err != nil {
		panic(err)
	}
	day := calendar.DateOf(2026, time.March, 4) // a Wednesday
	step := weekly.Floor(day)
	fmt.Println(weekly, weekly.Day(step), weekly.Day(step+1))
	// Output: W-MON 2026-03-02 2026-03-09
}

func ExampleHolidays() {
	germany, err := calendar.Holidays("DE")
	if err != nil {
		panic(err)
	}
	for _, h := range germany.Between(calendar.DateOf(2026, time.April, 1), calendar.DateOf(2026, time.May, 2)) {
		fmt.Println(h.Day, h.Name)
	}
	// Output:
	// 2026-04-03 Karfreitag
	// 2026-04-06 Ostermontag
	// 2026-05-01 Tag der Arbeit
}
